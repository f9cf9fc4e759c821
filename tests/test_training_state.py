"""What an interrupted training resumes from: a state that belongs elsewhere is refused."""

import pytest
import torch

from harmonica.errors import BadInput
from harmonica.method.resume import restore_training, save_training


@pytest.mark.parametrize("others", [[], [torch.zeros(3)]], ids=["none", "of another shape"])
def test_a_state_of_other_parameters_is_refused_and_changes_nothing(others, tmp_path):
    parameters = [torch.ones(2, requires_grad=True)]
    optimizer = torch.optim.AdamW(parameters)
    with pytest.raises(BadInput, match="half.safetensors holds other tensors .*; delete it to"):
        save_training(tmp_path / "half.safetensors", 0, others, optimizer)
        restore_training(tmp_path / "half.safetensors", parameters, optimizer)
    assert torch.equal(parameters[0], torch.ones(2))
