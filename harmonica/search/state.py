"""What a search has found so far, in one file: a killed search resumes from its last stage."""

import json

import torch

from harmonica.errors import check
from harmonica.files import load_tensors, save_tensors


class State:
    """values: numbers, dicts and lists, saved as JSON. masks: {name: bool (T, N)}. samples: {name:
    [(r, Q) of the last linearisations]}. what: identifies the search; the file of another one is
    refused.
    """

    def __init__(self, what):
        self.what = what
        self.values, self.masks, self.samples = {"done": 0, "forwards": 0}, {}, {}

    def save(self, path):
        arrays = {f"mask {name}": mask for name, mask in self.masks.items()}
        for name, samples in self.samples.items():
            for k, (r, Q) in enumerate(samples):
                arrays |= {f"r {k} {name}": r, f"Q {k} {name}": Q}
        counts = {name: len(samples) for name, samples in self.samples.items()}
        # copied, as two names may share one mask, and safetensors refuses shared memory
        tensors = {name: torch.tensor(array) for name, array in arrays.items()}
        save_tensors(path, tensors, {"what": self.what, "values": self.values, "samples": counts})

    def restore(self, path):
        """Read what was saved, if anything. BadInput for a file damaged or of another search."""
        saved = load_tensors(path, "state of a search", "begin again")
        if saved is None:
            return
        arrays = {name: tensor.numpy() for name, tensor in saved[0].items()}
        about = saved[1]
        check(
            isinstance(about, dict) and about.get("what") == json.loads(json.dumps(self.what)),
            "state",
            str(path),
            "it is of another search; delete it or move it",
        )
        self.values = about["values"]
        self.samples = {
            name: [(arrays[f"r {k} {name}"], arrays[f"Q {k} {name}"]) for k in range(count)]
            for name, count in about["samples"].items()
        }
        self.masks = {
            name.removeprefix("mask "): mask
            for name, mask in arrays.items()
            if name.startswith("mask ")
        }
