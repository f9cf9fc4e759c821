"""Reads and writes SmoothCache's schedules: JSON, {"attn-0": [0/1] * T, "mlp-0": ...} or, by kind,
{"attn": ..., "mlp": ...}, in sampling order, 1 = compute.

diffusers' names are read, too: attn1, attn2 (PixArt's cross-attention) and ff. Kinds that a file
does not name always compute.
"""

import json
import re
from collections import Counter

import torch

from harmonica.errors import BadInput, check
from harmonica.files import write_json
from harmonica.method.router import KINDS, from_keep

ALIASES = {"attn1": "attn", "attn2": "cross", "ff": "mlp"}  # diffusers' names for the kinds
PIXART_KINDS = ("attn", "cross", "mlp")


def write(path, router, cur=None):
    """Write a SmoothCache schedule, one list for each block, named by its kind."""
    right = "SmoothCache's lists are of whole blocks of attn, mlp or of attn, cross, mlp"
    units = () if router.kinds else router.about.get("units", ())  # of no DiT or PixArt
    check(not units, "out", f"units {', '.join(units[:3])}, ...", right)
    keep = router.schedule(cur).keep
    kinds = tuple(router.kinds or KINDS)
    names = [f"{kinds[i % len(kinds)]}-{i // len(kinds)}" for i in range(router.num_blocks)]
    lists = {name: keep[:, i].int().tolist() for i, name in enumerate(names)}
    try:
        read_keep, read_kinds = _mask(lists, path, None, None)
        matches = read_kinds == kinds and torch.equal(read_keep, keep)
    except BadInput:
        matches = False
    check(matches, "out", f"{router.num_blocks} blocks of {', '.join(kinds)}", right)
    write_json(path, lists)


def read(path, tau, num_blocks, kinds):
    """-> a Router whose mask, at its own threshold, is the schedule."""
    keep, kinds = _mask(_binary_lists(path), path, num_blocks, kinds)
    try:
        return from_keep(keep, tau=0.1 if tau is None else tau, about={"kinds": kinds})
    except BadInput as error:
        raise BadInput(f"schedule: {path}: {str(error).removeprefix('router: ')}") from None


def _mask(lists, path, num_blocks, kinds):
    """-> the keep mask (T, N), the kinds that alternate in its columns."""
    named = _by_kind_and_block(lists, path)
    has_cross = any(kind == "cross" for kind, _ in named)
    kinds = kinds or (PIXART_KINDS if has_cross else KINDS)
    by_kind = all(block is None for _, block in named)
    if by_kind and not num_blocks:
        raise BadInput(
            f"schedule: {path} names kinds of blocks only; give the number of blocks (--blocks)"
        )
    counted = Counter(kind for kind, block in named if block is not None)
    depth = num_blocks // len(kinds) if num_blocks else max(counted.values())
    if num_blocks and num_blocks % len(kinds):
        raise BadInput(
            f"schedule: {path} is of {', '.join(kinds)}, "
            f"so {num_blocks} blocks (--blocks) are no whole ones"
        )
    columns = [(kind, None if by_kind else i) for i in range(depth) for kind in kinds]
    for kind, block in columns:
        if counted[kind] and (kind, block) not in named:
            raise BadInput(
                f"schedule: {path} has no list '{kind}-{block}'; "
                f"a schedule of {len(columns)} blocks needs it"
            )
    extra = next(
        (name for (kind, block), name in named.items() if (kind, block) not in columns), None
    )
    if extra:
        raise BadInput(
            f"schedule: {path} has a list {extra!r}; the kinds of blocks are {', '.join(kinds)}, "
            f"{len(columns)} blocks in all (--kinds, --blocks)"
        )
    rows = {key: lists[name] for key, name in named.items()}
    always = [1] * len(next(iter(lists.values())))
    columns = torch.tensor([rows.get(key, always) for key in columns], dtype=torch.bool)
    return columns.T.contiguous(), kinds


def _by_kind_and_block(lists, path):
    """-> {(kind, block or None): name of the list}. BadInput where two names mean the same."""
    named = {}
    for name in lists:
        numbered = re.fullmatch(r"(.+)-(\d{1,6})", name, re.ASCII)
        kind, block = (numbered[1], int(numbered[2])) if numbered else (name, None)
        key = ALIASES.get(kind, kind), block
        if key in named:
            raise BadInput(
                f"schedule: {path} has two lists of one block, {named[key]!r} and {name!r}"
            )
        named[key] = name
    return named


def _binary_lists(path):
    try:
        lists = json.loads(path.read_bytes(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"schedule: {path} is not a whole JSON file ({error})") from None
    right = isinstance(lists, dict) and lists and all(map(_is_binary, lists.values()))
    if not right:
        weights = path.with_suffix(".safetensors")
        if isinstance(lists, dict) and "schema" in lists and weights.is_file():
            raise BadInput(f"schedule: {path} is a record; give {weights}, which lies beside it")
        raise BadInput(
            f"schedule: {path} is no SmoothCache schedule; "
            "expected lists of 0 and 1 named attn-0, mlp-0, ..."
        )
    lengths = sorted({len(row) for row in lists.values()})
    if len(lengths) != 1:
        raise BadInput(
            f"schedule: {path} is ragged, its lists have {lengths} steps; all need the same number"
        )
    return lists


def _each_once(pairs):
    """A JSON object as a dict. ValueError for equal names, of which json would keep the last."""
    content = dict(pairs)
    if len(content) != len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has {name!r} twice")
    return content


def _is_binary(row):
    return isinstance(row, list) and row and all(value in (0, 1) for value in row)
