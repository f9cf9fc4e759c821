"""Published router and schedule formats: read safely, and written. They enter and leave the package here only.

- Learning-to-Cache's and HarmoniCa's .pt: a pickled dict {"routers": {"i.prob": logits (N,)}, ...}, i = 0 the LAST step.
  Nothing but tensors, plain containers and an argparse.Namespace is ever unpickled.
- SmoothCache's JSON: {"attn-0": [0/1] * T, "mlp-0": ...} or {"attn": ..., "mlp": ...}, in sampling order, 1 = compute.
"""
import argparse
import json
import pickle
from dataclasses import replace
from pathlib import Path

import torch

from . import BadInput
from .router import CLAMP, Router, from_keep, load
from .store import atomic, write_json


def read(path, *, tau=None, num_blocks=None, kinds=("attn", "mlp")):
    """Read a router or schedule of any format -> Router, its about["format"] set.

    tau: the threshold, by default the file's own or 0.1. num_blocks: needed for a SmoothCache schedule that names only kinds of blocks. BadInput says what is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"router: {path} does not exist; give a .safetensors, .pt or .json file")
    if path.suffix == ".safetensors":
        router = load(path)
        return replace(router, tau=tau or router.tau, about={**router.about, "format": "harmonica"})
    if path.suffix == ".json":
        return from_keep(_smoothcache_keep(path, num_blocks, kinds), tau=tau or 0.1, about={"format": "smoothcache"})
    if path.suffix in (".pt", ".pth"):
        logits, model = _published(path)
        return Router(logits=logits, tau=tau or 0.1, about={"format": "published", **model})
    raise BadInput(f"router: {path} ends in {path.suffix!r}; give a .safetensors, .pt or .json file")


def write(path, router):
    """Write in the format that the ending of `path` names: .safetensors, .pt or .json (SmoothCache)."""
    writers = {".safetensors": lambda path, router: router.save(path), ".pt": write_published, ".json": write_smoothcache}
    suffix = Path(path).suffix
    if suffix not in writers:
        raise BadInput(f"out: {path} ends in {suffix!r}; choose .safetensors, .pt or .json")
    writers[suffix](path, router)


def write_published(path, router):
    """Write the .pt layout of Learning-to-Cache and HarmoniCa."""
    rows = {f"{i}.prob": row.float().clone() for i, row in enumerate(router.logits.flip(0))}
    with atomic(path) as temporary:
        torch.save({"routers": rows}, temporary)


def write_smoothcache(path, router, kinds=("attn", "mlp")):
    """Write the router's natural mask as a SmoothCache schedule, one list per block."""
    keep = router.keep().int()
    write_json(path, {f"{kinds[i % len(kinds)]}-{i // len(kinds)}": keep[:, i].tolist() for i in range(keep.shape[1])})


def _published(path):
    """-> logits (T, N) in sampling order, {"model": name} where the file's own arguments say which."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
        rows = content["routers"]
        logits = torch.stack([rows[f"{i}.prob"] for i in range(len(rows))]).float()
    except pickle.UnpicklingError:
        raise BadInput(f"router: {path} holds more than tensors and plain values, so it was not unpickled; "
                       "ask its author for a safe file") from None
    except KeyError as missing:
        raise BadInput(f"router: {path} has no entry {missing}; expected routers with rows 0.prob .. (T-1).prob") from None
    except (RuntimeError, EOFError, OSError, TypeError, AttributeError) as error:
        raise BadInput(f"router: {path} is not a whole router checkpoint ({_first_line(error)})") from None
    if not (logits[-1] == CLAMP).all():
        # HarmoniCa fixes the first step's row; where it is not fixed this is Learning-to-Cache's, which never trained
        # the rows of odd i: what stands there is its initialisation, and those steps compute everything
        logits[1::2] = CLAMP
    arguments = vars(content["args"]) if isinstance(content.get("args"), argparse.Namespace) else {}
    known = {"model", "image_size"} <= set(arguments)
    return logits.flip(0), {"model": f"{arguments['model']} {arguments['image_size']}"} if known else {}


def _smoothcache_keep(path, num_blocks, kinds):
    try:
        lists = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"router: {path} is not a whole JSON file ({error})") from None
    if not isinstance(lists, dict) or not all(_is_binary(row) for row in lists.values()) or not lists:
        raise BadInput(f"router: {path} is no SmoothCache schedule; expected lists of 0 and 1 named attn-0, mlp-0, ...")
    if len({len(row) for row in lists.values()}) != 1:
        raise BadInput(f"router: {path} is ragged, its lists have {sorted({len(row) for row in lists.values()})} steps; "
                       "all need the same number")
    if set(lists) == set(kinds):
        if num_blocks is None:
            raise BadInput(f"router: {path} names kinds of blocks only; give the number of blocks (--blocks)")
        names = [kinds[i % len(kinds)] for i in range(num_blocks)]
    else:
        names = [f"{kinds[i % len(kinds)]}-{i // len(kinds)}" for i in range(len(lists))]
    missing = [name for name in names if name not in lists]
    if missing:
        raise BadInput(f"router: {path} has no list {missing[0]!r}; a schedule of {len(names)} blocks needs it")
    return torch.tensor([lists[name] for name in names], dtype=torch.bool).T.contiguous()


def _is_binary(row):
    return isinstance(row, list) and row and all(value in (0, 1) for value in row)


def _first_line(error):
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
