"""Reads and writes router and schedule files of every known format. A router that is written and
read back gives the same mask.

.safetensors is this package's own format for routers and schedules, and keeps everything; .pt is
Learning-to-Cache's and HarmoniCa's; .json is SmoothCache's.
"""

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from harmonica.errors import BadInput, check
from harmonica.method.router import FILE, KINDS, Router, from_keep
from harmonica.method.schedule import Schedule
from harmonica.weights import published_routers, smoothcache

ENDINGS = (".safetensors", ".pt", ".json")


def read(path, *, tau=None, num_blocks=None, kinds=None):
    """Read a router or schedule of any format -> Router, with about["format"] set. path: a file, or
    a folder of Router.save_pretrained.

    tau: the threshold, by default the file's own or 0.1. num_blocks: needed for a SmoothCache
    schedule that names only kinds of blocks. kinds: the kinds of blocks that alternate in the
    columns, for files that do not record them; by default attn, mlp, or attn, cross, mlp where a
    SmoothCache schedule names cross. BadInput says what is wrong, also where num_blocks or kinds
    differ from the file's.
    """
    path = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not path.is_file():
        raise BadInput(
            f"router: {path} does not exist; give a .safetensors, .pt or .json file, or a folder "
            f"with {FILE}"
        )
    if kinds:
        kinds = tuple(smoothcache.ALIASES.get(kind, kind) for kind in kinds)
        check(len(set(kinds)) == len(kinds), "kinds", " ".join(kinds), "name each once")
    if path.suffix == ".safetensors":
        router, form = _of_ours(path)
    elif path.suffix == ".json":
        router, form = smoothcache.read(path, tau, num_blocks, kinds), "smoothcache"
    elif path.suffix in (".pt", ".pth"):
        router, form = published_routers.read(path), "published"
    else:
        raise BadInput(
            f"router: {path} ends in {path.suffix!r}; give a .safetensors, .pt or .json file"
        )
    about = {**router.about, "format": form, **_kinds(path, router, kinds)}
    right = f"{path} is of {router.num_blocks}"
    check(num_blocks in (None, router.num_blocks), "blocks", num_blocks, right)
    return replace(router, tau=router.tau if tau is None else tau, about=about)


def _of_ours(path):
    """Read a .safetensors file of a router or a schedule -> Router, "harmonica" or "schedule"."""
    try:
        with safe_open(path, "pt") as file:
            is_schedule = "keep" in file.keys()
    except SafetensorError:
        is_schedule = False  # load says what is wrong
    if not is_schedule:
        return Router.load(path), "harmonica"
    schedule = Schedule.load(path)
    right = "a router cannot hold them; it is applied as a Schedule"
    check(not schedule.weights, "router", f"{path} with predictions", right)
    about = {key: value for key, value in schedule.about.items() if key != "training"}
    return from_keep(schedule.keep, timesteps=schedule.timesteps, about=about), "schedule"


def write(path, router, cur=None):
    """Write in the format that the ending of `path` names: .safetensors, .pt or .json
    (SmoothCache).

    .pt and .json hold a schedule: reading them back gives the mask router.schedule(cur), or
    BadInput says why the format cannot hold it. .safetensors keeps the scores, so it takes no cur.
    """
    suffix = check_ending(path)
    if suffix == ".safetensors":
        right = "a .safetensors file keeps all scores; give cur where it is applied"
        check(cur is None, "cur", cur, right)
        router.save(path)
    elif suffix == ".pt":
        published_routers.write(path, router, cur)
    else:
        smoothcache.write(path, router, cur)


def check_ending(path):
    """-> the ending of a file to be written. BadInput where no format has it."""
    suffix = Path(path).suffix
    if suffix not in ENDINGS:
        raise BadInput(f"out: {path} ends in {suffix!r}; choose .safetensors, .pt or .json")
    return suffix


def _kinds(path, router, kinds):
    """-> {"kinds": kinds} to add to about, empty where that is not needed. BadInput where the file
    records other kinds, or where N is no multiple of their number.
    """
    if kinds is None or router.kinds == kinds:
        return {}
    right = f"{path} is of {', '.join(router.kinds or ())}"
    check(router.kinds is None, "kinds", " ".join(kinds), right)
    right = f"{path} is of {router.num_blocks} blocks"
    check(router.num_blocks % len(kinds) == 0, "kinds", " ".join(kinds), right)
    return {} if kinds == KINDS else {"kinds": kinds}
