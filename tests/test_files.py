"""What files say: of a hash that takes seconds to read, of a state that belongs elsewhere."""

import hashlib

import pytest
import torch

from harmonica import files
from harmonica.errors import BadInput


def test_reading_a_large_file_is_said_once_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "LARGE", 8)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"1234")
    large.write_bytes(b"123456789")
    for path in (small, large, large):
        assert files.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and str(large) in shown.err


@pytest.mark.parametrize("others", [[], [torch.zeros(3)]], ids=["none", "of another shape"])
def test_a_state_of_other_parameters_is_refused_and_changes_nothing(others, tmp_path):
    parameters = [torch.ones(2, requires_grad=True)]
    optimizer = torch.optim.AdamW(parameters)
    with pytest.raises(BadInput, match="half.safetensors holds other tensors .*; delete it to"):
        files.save_training(tmp_path / "half.safetensors", 0, others, optimizer)
        files.restore_training(tmp_path / "half.safetensors", parameters, optimizer)
    assert torch.equal(parameters[0], torch.ones(2))
