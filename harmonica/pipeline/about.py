"""Describes what a schedule or router was made for: model, scheduler, guidance and units. By this
description a killed search or training is recognised when it is resumed.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harmonica.errors import check
from harmonica.files import read_json, write_json
from harmonica.pipeline.passes import first_transformer
from harmonica.pipeline.transformers import kinds_of

REFITTED = ", weights refitted"  # the end of the method's name
OWN = "this schedule"  # beside FORA's, in the errors that a search reports


def origin(walk):
    """-> the description, a JSON-serialisable dict. walk: a walk.PipelineWalk after its learn()."""
    pipe = walk.pipe
    model = first_transformer(pipe)
    kinds = kinds_of(model)
    return {
        "model": name_of(pipe.name_or_path or type(pipe).__name__),
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


def name_of(source):
    """What files call a pipeline: the name of its folder, without a path, or its hub id."""
    return Path(source).name if Path(source).exists() else str(source)


def sha256(module):
    """The hash of a module's parameters and buffers: their names and their bytes in memory."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + _bytes_of(tensor))
    return digest.hexdigest()


def by_content(value):
    """-> words that are the same for the same value in every process: the hash of a tensor, numpy
    array or PIL image, and the repr of anything else. (The repr of an image holds its address, and
    that of a large tensor or array leaves out most numbers.)
    """
    if isinstance(value, torch.Tensor):
        form, content = (value.dtype, tuple(value.shape)), _bytes_of(value)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        form, content = (value.dtype, value.shape), value.tobytes()
    elif isinstance(value, Image.Image):
        form, content = (value.mode, value.size, value.getpalette()), value.tobytes()
    else:
        return repr(value)
    return hashlib.sha256(repr(form).encode() + content).hexdigest()


def _bytes_of(tensor):
    content = tensor.detach().cpu().contiguous().flatten()
    return content.view(torch.uint8).numpy().tobytes()


def ended_words(out, found):
    """The words that tell where a result is. found: whether it was there before this call."""
    return f"finished   before, in {out}" if found else f"wrote      {out}"


def found_words(schedule):
    """The words that tell how good a searched schedule is, by its description."""
    error = schedule.about["error"]
    others = dict(error["of"])
    own = others.pop(OWN)
    named = {f"{OWN}, {schedule.cur_percent:.3g} % skipped": own, **others}
    rows = "; ".join(f"{name} {value:.3g}" for name, value in named.items())
    words = f"error      of {error['images']} images on held-back noise: {rows}"
    if own in others.values():
        words += (
            "\n           none better than FORA's was found; with more images or rounds one may be"
        )
    if schedule.about["search"].get("refit") and REFITTED not in schedule.about["method"]:
        words += "\n           refitted predictions were no better on other noise, and are not kept"
    return words


def agreed(about, path, settings, file):
    """Write down at `path` what its folder is for -> False; or, where that is written there
    already, compare -> True. BadInput where the folder is for something else. The model's name or
    path may differ, as its hash identifies it.

    settings: the key of a dict within `about` whose fields are compared one by one. file: the name
    of what the folder will hold.
    """
    about = json.loads(json.dumps(about))
    if not path.exists():
        right = f"it holds {file} without {path.name}, which says what that is for; choose another"
        check(not (path.parent / file).exists(), "out", str(path.parent), right)
        write_json(path, about)
        return False
    stored = read_json(path, "out", "delete it to begin again")
    about, stored = ({**fields, **fields.get(settings, {})} for fields in (about, stored))
    names = [name for name in about if name not in ("model", settings)]
    differing = [name for name in names if stored.get(name) != about[name]]
    right = (
        f"it holds a {Path(file).stem} with another {', '.join(differing)}; choose another folder"
    )
    check(not differing, "out", str(path.parent), right)
    return True
