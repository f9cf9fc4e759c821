"""Published router and schedule formats: read safely, and written. They enter and leave the package
here only.

- Learning-to-Cache's and HarmoniCa's .pt: a pickled dict {"routers": {"i.prob": logits (N,)}, ...}, i = 0 the LAST step.
  Nothing but tensors, plain containers and an argparse.Namespace is ever unpickled.
- SmoothCache's JSON: {"attn-0": [0/1] * T, "mlp-0": ...} or {"attn": ..., "mlp": ...}, in sampling order, 1 = compute;
  or under diffusers' names: attn1, attn2 (PixArt's cross-attention) and ff. What a file does not name always computes.
"""

import argparse
import io
import json
import warnings
from dataclasses import replace
from pathlib import Path

import torch

from harmonica.errors import BadInput
from harmonica.files import atomic, write_json
from harmonica.method.router import CLAMP, FILE, KINDS, Router, from_keep, load

ALIASES = {
    "attn1": "attn",
    "attn2": "cross",
    "ff": "mlp",
}  # diffusers' names, which SmoothCache uses for its models


def read(path, *, tau=None, num_blocks=None, kinds=None):
    """Read a router or schedule of any format -> Router, its about["format"] set. A folder:
    Router.save_pretrained's.

    tau: the threshold, by default the file's own or 0.1. num_blocks: needed for a SmoothCache
    schedule that names only kinds of blocks. kinds: what takes turns in the columns, by default
    attn, mlp or, where such a schedule names cross, attn, cross, mlp. BadInput says what is wrong.
    """
    path = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not path.is_file():
        raise BadInput(
            f"router: {path} does not exist; give a .safetensors, .pt or .json file, or a folder with "
            f"{FILE}"
        )
    if path.suffix == ".safetensors":
        router = load(path)
        return replace(
            router,
            tau=router.tau if tau is None else tau,
            about={**router.about, "format": "harmonica"},
        )
    tau = 0.1 if tau is None else tau
    if path.suffix == ".json":
        keep, kinds = _smoothcache(path, num_blocks, kinds)
        return from_keep(
            keep,
            tau=tau,
            about={"format": "smoothcache"} | ({} if kinds == KINDS else {"kinds": kinds}),
        )
    if path.suffix in (".pt", ".pth"):
        logits, model = _published(path)
        return Router(logits=logits, tau=tau, about={"format": "published", **model})
    raise BadInput(
        f"router: {path} ends in {path.suffix!r}; give a .safetensors, .pt or .json file"
    )


def write(path, router):
    """Write in the format that the ending of `path` names: .safetensors, .pt or .json
    (SmoothCache).
    """
    writers = {
        ".safetensors": lambda path, router: router.save(path),
        ".pt": write_published,
        ".json": write_smoothcache,
    }
    suffix = Path(path).suffix
    if suffix not in writers:
        raise BadInput(f"out: {path} ends in {suffix!r}; choose .safetensors, .pt or .json")
    writers[suffix](path, router)


def write_published(path, router):
    """Write the .pt layout of Learning-to-Cache and HarmoniCa."""
    rows = {f"{i}.prob": row.float().clone() for i, row in enumerate(router.logits.flip(0))}
    content = io.BytesIO()
    torch.save({"routers": rows}, content)
    with atomic(path) as temporary:
        temporary.write_bytes(content.getvalue())


def write_smoothcache(path, router):
    """Write the router's natural mask as a SmoothCache schedule, one list per block of its kinds."""
    keep, kinds = router.keep().int(), router.about.get("kinds", KINDS)
    write_json(
        path,
        {
            f"{kinds[i % len(kinds)]}-{i // len(kinds)}": keep[:, i].tolist()
            for i in range(keep.shape[1])
        },
    )


def _published(path):
    """-> logits (T, N) in sampling order, {"model": name} where the file's own arguments say which."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd files; what is wrong with them is said below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch's reader raises almost anything on a damaged file
        raise BadInput(
            f"router: {path} is damaged or holds more than tensors and plain values, so nothing of it was "
            "unpickled; give a whole file of tensors"
        ) from None
    rows = content.get("routers") if isinstance(content, dict) else None
    if not isinstance(rows, dict):
        raise BadInput(
            f"router: {path} has no entry 'routers'; expected a dict of rows 0.prob .. (T-1).prob there"
        )
    try:
        logits = torch.stack([rows[f"{i}.prob"] for i in range(len(rows))]).float()
    except KeyError as missing:
        raise BadInput(
            f"router: {path} has no entry {missing}; expected routers with rows 0.prob .. (T-1).prob"
        ) from None
    except (RuntimeError, TypeError) as error:
        raise BadInput(
            f"router: {path} holds no router ({_first_line(error)}); expected routers with rows 0.prob .. "
            "(T-1).prob of equal length"
        ) from None
    if not (logits[-1] == CLAMP).all() and logits.isfinite().all():
        # HarmoniCa fixes the first step's row; where it is not fixed this is Learning-to-Cache's,
        # which never trained
        # the rows of odd i: what stands there is its initialisation, and those steps compute
        # everything
        logits[1::2] = CLAMP
    arguments = vars(content["args"]) if isinstance(content.get("args"), argparse.Namespace) else {}
    known = {"model", "image_size"} <= set(arguments)
    return logits.flip(0), {
        "model": f"{arguments['model']} {arguments['image_size']}"
    } if known else {}


def _smoothcache(path, num_blocks, kinds):
    """-> keep mask (T, N), the kinds of its columns."""
    lists = _binary_lists(path)
    named = [
        (ALIASES.get(kind, kind), index)
        for kind, _, index in (name.partition("-") for name in lists)
    ]
    kinds = tuple(
        kinds or (("attn", "cross", "mlp") if any(kind == "cross" for kind, _ in named) else KINDS)
    )
    lists = {
        f"{kind}-{index}" if index else kind: row
        for (kind, index), row in zip(named, lists.values())
    }
    if set(lists) <= set(kinds):
        if num_blocks is None or num_blocks < 1:
            raise BadInput(
                f"router: {path} names kinds of blocks only; give the number of blocks (--blocks), not "
                f"{num_blocks}"
            )
        columns = [kinds[i % len(kinds)] for i in range(num_blocks)]
    else:
        depth = (
            num_blocks // len(kinds) if num_blocks else max(_count(lists, kind) for kind in kinds)
        )
        columns = [f"{kind}-{i}" for i in range(depth) for kind in kinds]
        missing = [
            name for name in columns if name not in lists and _count(lists, name.partition("-")[0])
        ]
        if missing:
            raise BadInput(
                f"router: {path} has no list {missing[0]!r}; a schedule of {len(columns)} blocks needs it"
            )
    odd = sorted(set(lists) - set(columns))
    if odd:
        raise BadInput(
            f"router: {path} has a list {odd[0]!r}; the kinds of blocks are {', '.join(kinds)}, {len(columns)} "
            "blocks in all (--kinds, --blocks)"
        )
    always = [1] * len(next(iter(lists.values())))
    return torch.tensor(
        [lists.get(name, always) for name in columns], dtype=torch.bool
    ).T.contiguous(), kinds


def _count(lists, kind):
    return sum(name.startswith(f"{kind}-") for name in lists)


def _binary_lists(path):
    try:
        lists = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"router: {path} is not a whole JSON file ({error})") from None
    if (
        not isinstance(lists, dict)
        or not all(_is_binary(row) for row in lists.values())
        or not lists
    ):
        raise BadInput(
            f"router: {path} is no SmoothCache schedule; expected lists of 0 and 1 named attn-0, mlp-0, ..."
        )
    if len({len(row) for row in lists.values()}) != 1:
        raise BadInput(
            f"router: {path} is ragged, its lists have {sorted({len(row) for row in lists.values()})} steps; "
            "all need the same number"
        )
    return lists


def _is_binary(row):
    return isinstance(row, list) and row and all(value in (0, 1) for value in row)


def _first_line(error):
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
