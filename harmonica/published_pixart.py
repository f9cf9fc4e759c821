"""The published PixArts, loaded by name and hash from a pipeline's folder or hub id; their prompts from the disk.

Of the pipeline only the transformer is read. Nothing is unpickled but tensors.
"""
import json

import torch
from diffusers import PixArtTransformer2DModel

from . import BadInput, check, weights
from .backbones.pixart import PixArt
from .models import Loaded
from .prompts import Prompts
from .published import tensors_of


def load(spec, precision=None):
    """A runs.ModelSpec with prompts -> models.Loaded, frozen, on the GPU if there is one; "bfloat16" weights if so asked.

    Its conditions are the captions in their order. BadInput where a file is missing, has another hash or holds no PixArt.
    """
    prompts = Prompts(spec.prompts)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    model = torch.nn.Module.to(_read(weights.checked(spec.name, spec.sha256, "model")), device, dtype)
    pixels = model.config.sample_size * weights.FACTOR
    check(pixels == spec.prompts.pixels, "pixels", spec.prompts.pixels, f"{spec.name} was trained for {pixels}")
    backbone = PixArt(model, text_tokens=prompts.tokens)
    return Loaded(spec, backbone, lambda indices: prompts.cond(indices, device, dtype), prompts.count, device=device)


def _read(path):
    """The transformer of a pipeline's folder, or of its own, frozen, float32, in eval()."""
    file = weights.tensors_of(path)
    try:
        config = json.loads((file.parent / "config.json").read_text())
        check(config["_class_name"] == "PixArtTransformer2DModel", "model", config["_class_name"], "a PixArt is expected")
        model = PixArtTransformer2DModel.from_config(config)
        model.load_state_dict({name: value.float() for name, value in tensors_of(file).items()})
    except FileNotFoundError as error:
        raise BadInput(f"model: {error.filename} does not exist; a diffusers folder holds it beside its weights") from None
    except (json.JSONDecodeError, KeyError, TypeError, RuntimeError) as error:
        said = str(error).strip().splitlines()[0][:120]
        raise BadInput(f"model: {file.parent} holds no diffusers PixArt ({said})") from None
    return model.requires_grad_(False).eval()
