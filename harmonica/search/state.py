"""What a search has found so far, as one file, so that a killed search goes on from its last stage."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harmonica.errors import BadInput, check
from harmonica.files import atomic


class State:
    """values: what JSON holds. masks: name -> bool (T, N). samples: the (r, Q) of the last
    linearisations. what: identifies the search; another one's file is refused.
    """

    def __init__(self, what):
        self.what = what
        self.values, self.masks, self.samples = {"done": 0}, {}, []

    def save(self, path):
        tensors = {f"mask {name}": mask for name, mask in self.masks.items()}
        for k, (r, Q) in enumerate(self.samples):
            tensors |= {f"r {k}": r, f"Q {k}": Q}
        about = json.dumps({"what": self.what, "values": self.values}, sort_keys=True)
        with atomic(path) as temporary:
            temporary.write_bytes(save(_whole(tensors), {"about": about}))

    def restore(self, path):
        """Read what was saved, if anything was. BadInput where the file is damaged or another
        search's.
        """
        if not Path(path).exists():
            return
        try:
            with safe_open(path, "np") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}
                about = json.loads(file.metadata()["about"])
            samples = sum(name.startswith("r ") for name in tensors)
            self.samples = [(tensors[f"r {k}"], tensors[f"Q {k}"]) for k in range(samples)]
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise BadInput(
                f"state: {path} is not a whole state of a search ({error}); delete it to begin again"
            ) from None
        what = json.loads(json.dumps(self.what))  # as the file has it
        check(
            about["what"] == what,
            "state",
            str(path),
            "it is of another search; delete it or move it",
        )
        self.values = about["values"]
        self.masks = {
            name.removeprefix("mask "): mask
            for name, mask in tensors.items()
            if name.startswith("mask ")
        }


def _whole(tensors):
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
