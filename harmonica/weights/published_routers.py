"""Reads and writes the .pt router files of Learning-to-Cache and HarmoniCa: a pickled dict
{"routers": {"i.prob": logits (N,)}}, where i = 0 is the LAST step. Their threshold is 0.1.

Learning-to-Cache's files for U-ViT (.pth) are the inner dict alone, with rows in sampling order and
a threshold of 0.9. One update of their sampler takes two calls of the model, and row i belongs to
the first call of update i. They have a row for every call, so the second half of the rows was never
trained; nor was the first row.

This package adds "about", a JSON text, which other readers ignore. Only tensors, plain containers
and an argparse.Namespace are unpickled.
"""

import argparse
import io
import json
import warnings
from math import log

import torch

from harmonica.errors import BadInput
from harmonica.files import atomic, first_line
from harmonica.method.router import CLAMP, Router

TAU = 0.1  # the threshold, which the files do not record
# distance of logits from the threshold: sigmoids differ in their last bits between machines
MARGIN = 1e-3


def write(path, router, cur=None):
    """Write logits that give router.schedule(cur) at a threshold of 0.1."""
    logits = _cut_at_a_tenth(router.logits, router.schedule(cur).keep)
    about = {**router.about, "timesteps": router.timesteps}
    if cur is not None and router.cur_percent is not None:  # no longer the CUR it was trained for
        about["training"] = {**about["training"], "cur_percent": None}
    rows = {f"{i}.prob": row.clone() for i, row in enumerate(logits.flip(0))}
    content = io.BytesIO()
    torch.save({"routers": rows, "about": json.dumps(about, sort_keys=True)}, content)
    with atomic(path) as temporary:
        temporary.write_bytes(content.getvalue())


def read(path):
    """-> Router. Its about holds the model, if the training arguments in the file name it, or what
    `write` has stored.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is reported below
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
    """-> logits (T, N) in sampling order. The first update and every second call compute all."""
    trained = _stacked(path, content)
    logits = torch.full_like(trained, CLAMP)
    updates = len(trained) // 2
    logits[2 : 2 * updates : 2] = trained[1:updates]
    return logits


def _rows(path, content):
    """-> logits (T, N) with the last step first."""
    rows = content.get("routers") if isinstance(content, dict) else None
    if not isinstance(rows, dict):
        raise BadInput(
            f"router: {path} has no entry 'routers'; "
            "expected a dict of rows 0.prob .. (T-1).prob there"
        )
    logits = _stacked(path, rows)
    if not (logits[-1] == CLAMP).all() and logits.isfinite().all():
        # HarmoniCa sets the first step's row to CLAMP. Without that it is a file of
        # Learning-to-Cache, whose rows of odd i were never trained: those steps compute everything.
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
            f"router: {path} has no entry {missing}; "
            "expected routers with rows 0.prob .. (T-1).prob"
        ) from None
    except (RuntimeError, TypeError, AttributeError) as error:
        raise BadInput(
            f"router: {path} holds no router ({first_line(error)}); expected routers with rows "
            "0.prob .. (T-1).prob of equal length"
        ) from None


def _about(path, content):
    """-> what a .pt file records about its origin; its timesteps, or None."""
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
            f"({first_line(error)}); export it anew"
        ) from None


def _cut_at_a_tenth(logits, keep):
    """Shift all logits by one number so that a threshold of 0.1 gives `keep`. Logits that are still
    on the wrong side, or too near the threshold, are moved individually. The first row is CLAMP, as
    in HarmoniCa's files.
    """
    cut = log(TAU / (1 - TAU))
    logits = logits.clone()
    logits[0] = CLAMP
    if torch.equal(Router(logits=logits, tau=TAU).keep(), keep):
        return logits
    computed, reused = logits[1:][keep[1:]], logits[1:][~keep[1:]]
    low = float(reused.max()) if len(reused) else float(computed.min()) - 1
    high = float(computed.min()) if len(computed) else low + 1
    logits = logits + (cut - (low + high) / 2)
    logits = torch.where(keep, logits.clamp(min=cut + MARGIN), logits.clamp(max=cut - MARGIN))
    logits[0] = CLAMP
    return logits
