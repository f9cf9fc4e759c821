"""Which small base models there are: models.json beside the weights. Imports no torch.

Shipped with the package, a folder for each scale; another folder made by `make base-models` takes
their place when HARMONICA_MODELS names it.
"""

import json
import os
from pathlib import Path

from harmonica.errors import BadInput

SHIPPED = Path(__file__).parent / "weights"
CLOTHES = SHIPPED.parents[1] / "clothes" / "weights"


def folders():
    given = os.environ.get("HARMONICA_MODELS")
    return [Path(given)] if given else [SHIPPED, CLOTHES]


def folder(name):
    """Where the base model of this name lies, or should."""
    there = [f for f in folders() if (f / name).is_dir() or (f / f"{name}.safetensors").is_file()]
    return (there or folders())[0]


def manifest():
    """name -> architecture, training, sha256 and measured quality of each base model."""
    return {name: about for folder in folders() for name, about in _read(folder).items()}


def side(about):
    """Of the images of a manifest entry's model, in pixels; where it says nothing it is a digit's."""
    return about.get("side", 8)


def _read(folder):
    path = folder / "models.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(
            f"HARMONICA_MODELS: {path} does not exist; `make base-models` makes it"
        ) from None
    except json.JSONDecodeError as error:
        raise BadInput(
            f"HARMONICA_MODELS: {path} is not whole JSON ({error}); `make base-models` makes it"
        ) from None
