"""Which digits base models there are: models.json beside the weights. Imports no torch.

Shipped with the package; another folder made by `make base-models` takes its place when
HARMONICA_MODELS names it.
"""

import json
import os
from pathlib import Path

from harmonica.errors import BadInput

SHIPPED = Path(__file__).parent / "weights"


def folder():
    return Path(os.environ.get("HARMONICA_MODELS") or SHIPPED)


def manifest():
    """name -> architecture, training, sha256 and measured quality of each base model."""
    path = folder() / "models.json"
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
