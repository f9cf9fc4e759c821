"""Loads the published PixArt models by name and hash, from a pipeline's folder or hub id, and their
prepared prompts.

Only the pipeline's transformer is read. Only tensors are unpickled.
"""

from diffusers import PixArtTransformer2DModel

from harmonica import weights
from harmonica.backbones.pixart import PixArt
from harmonica.errors import check
from harmonica.method.denoise import Loaded
from harmonica.weights.checkpoints import of_folder, placed
from harmonica.weights.prompts import Prompts


def load(spec, precision=None):
    """A ModelSpec with prompts -> Loaded, frozen, on the GPU if there is one. precision:
    "bfloat16" or "float16" weights instead of float32.

    Condition k is caption k. BadInput where a file is missing, has another hash or holds no PixArt.
    """
    prompts = Prompts(spec.prompts)
    path = weights.checked(spec.name, spec.sha256, "model")
    model = placed(of_folder(path, PixArtTransformer2DModel), precision)
    pixels = model.config.sample_size * weights.FACTOR
    check(
        pixels == spec.prompts.pixels,
        "pixels",
        spec.prompts.pixels,
        f"{spec.name} was trained for {pixels}",
    )
    check(
        prompts.width == model.config.caption_channels,
        "embeddings",
        f"{prompts.width} wide in {prompts.folder}",
        f"{spec.name} takes {model.config.caption_channels}; prepare them with its own pipeline",
    )
    backbone = PixArt(model, spec.prompts.guided_channels)

    def cond(indices):
        return prompts.cond(indices, model.device, model.dtype)

    return Loaded(backbone, cond, prompts.count, device=model.device)
