"""What a search has found so far, as one file: a killed search goes on from its last stage."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harmonica.errors import BadInput, check
from harmonica.files import atomic


class State:
    """values: what JSON holds. masks: name -> bool (T, N). samples: name -> the (r, Q) of the last
    linearisations. what: identifies the search; another one's file is refused.
    """

    def __init__(self, what):
        self.what = what
        self.values, self.masks, self.samples = {"done": 0}, {}, {}

    def save(self, path):
        tensors = {f"mask {name}": mask for name, mask in self.masks.items()}
        for name, samples in self.samples.items():
            for k, (r, Q) in enumerate(samples):
                tensors |= {f"r {k} {name}": r, f"Q {k} {name}": Q}
        held = {name: len(samples) for name, samples in self.samples.items()}
        content = {"what": self.what, "values": self.values, "samples": held}
        about = json.dumps(content, sort_keys=True)
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
            self.samples = {
                name: [(tensors[f"r {k} {name}"], tensors[f"Q {k} {name}"]) for k in range(held)]
                for name, held in about["samples"].items()
            }
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise BadInput(
                f"state: {path} is not a whole state of a search ({error}); delete it to begin "
                "again"
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
