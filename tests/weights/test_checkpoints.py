"""What a file of weights is: told for DiT, PixArt and the rest, in one sentence if it is none."""

import json

import pytest
import torch
from safetensors.torch import save_file

from harmonica.errors import BadInput
from harmonica.weights.checkpoints import describe, read_tensors


def test_a_pixart_is_known_as_a_model_and_within_its_pipeline(tiny_pipe, tmp_path):
    tiny_pipe("sigma").save_pretrained(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "pipe" / "transformer"):
        found = describe(path)
        assert (found["model"], found["naming"], found["known"]) == ("PixArt", "diffusers", False)
        assert (found["width"], found["depth"], found["heads"]) == (48, 2, 2)
        assert (found["patch"], found["sample_size"], found["text_width"]) == (2, 8, 16)


ODD = {
    "no config": None,
    "cut off": "{",
    "a list": "[]",
    "another class": json.dumps({"_class_name": "LTXVideoTransformer3DModel"}),
    "no sizes": json.dumps({"_class_name": "PixArtTransformer2DModel"}),
    "text for sizes": json.dumps(
        {"_class_name": "PixArtTransformer2DModel", "num_attention_heads": "x"}
    ),
}


@pytest.mark.parametrize("config", ODD.values(), ids=ODD)
def test_an_odd_config_is_one_sentence(tmp_path, config):
    tensors = {"caption_projection.linear_1.weight": torch.ones(2, 2)}
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(BadInput, match="model: |weights: ") as error:
        describe(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_half_an_official_dit_is_one_sentence(tmp_path):
    torch.save({"final_layer.adaLN_modulation.1.weight": torch.ones(2)}, tmp_path / "half.pt")
    with pytest.raises(BadInput, match="half.pt is no whole DiT official model"):
        describe(tmp_path / "half.pt")


@pytest.mark.parametrize("content", [{}, {1: torch.ones(2)}, {"a": 1}, [torch.ones(2)], 5])
def test_what_is_no_dict_of_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(BadInput, match="a dict of tensors is expected"):
        read_tensors(tmp_path / "x.pt")
