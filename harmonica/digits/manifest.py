"""Lists the small base models, from the models.json beside their weights. Imports no torch.

The package ships a folder for each scale. If HARMONICA_MODELS names a folder, made by `make
base-models`, that is used in their place.
"""

import os
from pathlib import Path

from harmonica.errors import BadInput
from harmonica.files import read_json

MODELS = "models.json"
SHIPPED = Path(__file__).parent / "weights"
SHIPPED_CLOTHES = SHIPPED.parents[1] / "clothes" / "weights"


def folders():
    return [Path(_own())] if _own() else [SHIPPED, SHIPPED_CLOTHES]


def folder(name):
    """The folder that lists the base model of this name; where none does, the one that
    HARMONICA_MODELS names, or the digits'.
    """
    listing = [place for place in folders() if (place / MODELS).is_file() and name in _read(place)]
    return (listing or folders())[0]


def manifest():
    """{name: architecture, training, sha256 and measured quality} of all base models."""
    return {name: about for folder in folders() for name, about in _read(folder).items()}


def side(about):
    """The side of a model's images in pixels, by its manifest entry; 8 where none is given."""
    return about.get("side", 8)


def state_path(folder, name):
    """The file that the training of a base model is saved in, beside the models."""
    return Path(folder) / f"{name}.state.safetensors"


def what_brings(path):
    """What brings a file of base models that is missing or damaged, as words."""
    if _own():
        return f'`make base-models ARGS="--out {_own()}"` makes it (clothes: with SCALE=clothes)'
    return f"`git checkout {path}` brings it back, or install the package again"


def what_adds(name, scale, count):
    """What trains `count` base models more of a kind whose last one is `name`, as words."""
    kind, last = name.rsplit("-s", 1)
    seeds = " ".join(str(int(last) + 1 + number) for number in range(count))
    folder = _own() or "results/local-more-models"
    copy = "" if _own() else f"`cp -r harmonica/{scale}/weights {folder}`, then "
    scale = "" if scale == "digits" else f"SCALE={scale} "
    train = f'make base-models {scale}ARGS="--out {folder} --kinds {kind} --seeds {seeds}"'
    again = "" if _own() else f" with HARMONICA_MODELS={folder} before it"
    return f"to train more: {copy}`{train}`, then this command again{again}"


def _own():
    return os.environ.get("HARMONICA_MODELS")


def _read(folder):
    path, field = folder / MODELS, "HARMONICA_MODELS" if _own() else "base models"
    try:
        content = read_json(path, field, what_brings(path))
    except FileNotFoundError:
        raise BadInput(f"{field}: {path} does not exist; {what_brings(path)}") from None
    if not isinstance(content, dict):
        raise BadInput(f"{field}: {path} is no list of base models; {what_brings(path)}")
    return content
