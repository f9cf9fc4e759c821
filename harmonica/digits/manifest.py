"""Lists the small base models, from the models.json beside their weights. Imports no torch.

The package ships a folder for each scale. If HARMONICA_MODELS names a folder, made by `make
base-models`, that is used in their place.
"""

import json
import os
from pathlib import Path

from harmonica.errors import BadInput

SHIPPED = Path(__file__).parent / "weights"
SHIPPED_CLOTHES = SHIPPED.parents[1] / "clothes" / "weights"


def folders():
    path = os.environ.get("HARMONICA_MODELS")
    return [Path(path)] if path else [SHIPPED, SHIPPED_CLOTHES]


def folder(name):
    """The folder with the base model of this name; where there is none, the folder it
    should be in.
    """
    holders = [f for f in folders() if (f / name).is_dir() or (f / f"{name}.safetensors").is_file()]
    return (holders or folders())[0]


def manifest():
    """{name: architecture, training, sha256 and measured quality} of all base models."""
    return {name: about for folder in folders() for name, about in _read(folder).items()}


def side(about):
    """The side of a model's images in pixels, from its manifest entry; 8, as of digits, if not
    given.
    """
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
