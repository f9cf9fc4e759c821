"""Describes what a schedule or router was made for: model, scheduler, guidance and units."""

import hashlib
import json
from pathlib import Path

import torch

from harmonica.pipeline.fitting import KINDS
from harmonica.pipeline.walk import transformers_of


def origin(pipe, walk):
    """-> the description, a JSON-serialisable dict. walk: a sampling.Sampling after its learn()."""
    model = next(iter(transformers_of(pipe).values()))
    name = pipe.name_or_path or type(pipe).__name__
    kinds = KINDS.get(type(model))
    return {
        "model": Path(name).name if Path(name).exists() else name,
        "model_sha256": sha256(model),
        "pipeline": type(pipe).__name__,
        "transformer": type(model).__name__,
        "sampler": type(pipe.scheduler).__name__,
        "scheduler": json.loads(pipe.scheduler.to_json_string()),
        "guidance": walk.draw.guidance,
        "units": list(walk.names),
        "free": [walk.names[i] for i in sorted(walk.free)],
        **({"kinds": list(kinds)} if kinds else {}),
    }


def sha256(module):
    """The hash of a module's parameters and buffers: their names and their bytes in memory."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        content = tensor.cpu().contiguous().flatten().view(torch.uint8)
        digest.update(name.encode() + content.numpy().tobytes())
    return digest.hexdigest()


def gigabytes(count):
    return f"{count / 2**30:.2g} GiB"


def minutes(seconds):
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
