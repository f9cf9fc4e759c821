"""The .pt files of Learning-to-Cache's and HarmoniCa's routers: a pickled dict
{"routers": {"i.prob": logits (N,)}}, i = 0 the LAST step, cut at 0.1.

Learning-to-Cache's for U-ViT (.pth) are the rows alone, cut at 0.9: row i, in sampling order, is of
the first of the two calls that make update i; there are as many rows as calls, of which the first
and the later half were never trained.

Ours adds "about", a JSON text, which others do not read. Nothing but tensors, plain containers and
an argparse.Namespace is ever unpickled.
"""

import argparse
import io
import json
import warnings
from math import log

import torch

from harmonica.errors import BadInput
from harmonica.files import atomic
from harmonica.method.router import CLAMP, Router

TAU = 0.1  # the files do not say it
MARGIN = 1e-3  # of logits around the threshold: sigmoids differ in their last bits between machines


def write(path, router, cur=None):
    """Write router.schedule(cur) so that a threshold of 0.1 gives it."""
    logits = _cut_at_a_tenth(router.logits, router.schedule(cur).keep)
    about = {**router.about, "timesteps": router.timesteps}
    if cur is not None and router.cur_percent is not None:  # now it is the schedule of another CUR
        about["training"] = {**about["training"], "cur_percent": None}
    rows = {f"{i}.prob": row.clone() for i, row in enumerate(logits.flip(0))}
    content = io.BytesIO()
    torch.save({"routers": rows, "about": json.dumps(about, sort_keys=True)}, content)
    with atomic(path) as temporary:
        temporary.write_bytes(content.getvalue())


def read(path):
    """-> Router; its about holds the model where the file's own arguments name it, and what we
    wrote.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd files; what is wrong with them is said below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch's reader raises almost anything on a damaged file
        raise BadInput(
            f"router: {path} is damaged or holds more than tensors and plain values, so nothing of "
            "it was unpickled; give a whole file of tensors"
        ) from None
    if isinstance(content, dict) and "0.prob" in content:
        logits, about, timesteps = _of_uvit(path, content), {"model": "U-ViT-H/2 256"}, None
    else:
        logits = _rows(path, content).flip(0)
        about, timesteps = _about(path, content)
    try:
        return Router(logits=logits, tau=TAU, about=about, timesteps=timesteps)
    except BadInput as error:
        raise BadInput(f"router: {path}: {str(error).removeprefix('router: ')}") from None


def _of_uvit(path, content):
    """-> logits (T, N) in sampling order. Second calls compute everything, and the first update."""
    trained = _stacked(path, content)
    logits = torch.full_like(trained, CLAMP)
    updates = len(trained) // 2
    logits[2 : 2 * updates : 2] = trained[1:updates]
    return logits


def _rows(path, content):
    """-> logits (T, N), the last step first."""
    rows = content.get("routers") if isinstance(content, dict) else None
    if not isinstance(rows, dict):
        raise BadInput(
            f"router: {path} has no entry 'routers'; expected a dict of rows 0.prob .. (T-1).prob "
            "there"
        )
    logits = _stacked(path, rows)
    if not (logits[-1] == CLAMP).all() and logits.isfinite().all():
        # HarmoniCa fixes the first step's row. Where it is not fixed this is Learning-to-Cache's,
        # which never trained the rows of odd i: those steps compute everything.
        logits[1::2] = CLAMP
    return logits


def _stacked(path, rows):
    """{"i.prob": row} -> (rows, N)"""
    try:
        rows = [rows[f"{i}.prob"] for i in range(len(rows))]
        if not all(row.is_floating_point() and row.device.type == "cpu" for row in rows):
            raise TypeError("its rows are no real numbers")
        return torch.stack(rows).detach().float()
    except KeyError as missing:
        raise BadInput(
            f"router: {path} has no entry {missing}; expected routers with rows 0.prob .. "
            "(T-1).prob"
        ) from None
    except (RuntimeError, TypeError, AttributeError) as error:
        raise BadInput(
            f"router: {path} holds no router ({_first_line(error)}); expected routers with rows "
            "0.prob .. (T-1).prob of equal length"
        ) from None


def _about(path, content):
    """-> what a .pt file says of its origin, its timesteps or None."""
    arguments = vars(content["args"]) if isinstance(content.get("args"), argparse.Namespace) else {}
    if {"model", "image_size"} <= set(arguments):
        return {"model": f"{arguments['model']} {arguments['image_size']}"}, None
    if "about" not in content:
        return {}, None
    try:
        about = json.loads(content["about"])
        timesteps = about.pop("timesteps")
        return about, None if timesteps is None else tuple(timesteps)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"router: {path} says about itself what this package did not write "
            f"({_first_line(error)}); export it anew"
        ) from None


def _cut_at_a_tenth(logits, keep):
    """The logits moved by one number so that a threshold of 0.1 gives `keep`; where no number does,
    those on the wrong side are moved across. The first row is CLAMP, as HarmoniCa fixes it.
    """
    cut, logits = log(TAU / (1 - TAU)), logits.clone()
    logits[0] = CLAMP
    if torch.equal(Router(logits=logits, tau=TAU).keep(), keep):
        return logits
    kept, reused = logits[1:][keep[1:]], logits[1:][~keep[1:]]
    low = float(reused.max()) if len(reused) else float(kept.min()) - 1
    high = float(kept.min()) if len(kept) else low + 1
    logits = logits + (cut - (low + high) / 2)
    logits = torch.where(keep, logits.clamp(min=cut + MARGIN), logits.clamp(max=cut - MARGIN))
    logits[0] = CLAMP
    return logits


def _first_line(error):
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
