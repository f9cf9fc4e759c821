"""Reads and writes router and schedule files of every known format. A router that is written and
read back gives the same mask.

.safetensors is this package's own format for routers and schedules, and keeps everything; .pt is
Learning-to-Cache's and HarmoniCa's; .json is SmoothCache's. `read` makes a Router of any file,
`read_schedule` the Schedule that is applied.
"""

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from harmonica.errors import BadInput, check
from harmonica.files import read_json
from harmonica.method.router import FILE as ROUTER
from harmonica.method.router import KINDS, Router, from_keep
from harmonica.method.schedule import FILE as SCHEDULE
from harmonica.method.schedule import Schedule
from harmonica.weights import published_routers, smoothcache

ENDINGS = (".safetensors", ".pt", ".json")


def read_schedules(path, cur=None, **model):
    """-> {T: Schedule} from a file of any format, a folder of save_pretrained, or a folder that
    holds one of these for each number of steps. cur and model: as for read_schedule.
    """
    path = Path(path)
    if not path.is_dir() or _names_in(path):
        schedule = read_schedule(path, cur, **model)
        return {schedule.num_steps: schedule}
    by_steps = {}
    _check_finished(path)
    for child in sorted(path.iterdir()):
        if not (_names_in(child) if child.is_dir() else _may_be_one(child)):
            _check_finished(child)
            continue
        schedule = read_schedule(child, cur, **model)
        right = f"{path} holds several schedules of this number of steps; {_instead_of(path)}"
        check(schedule.num_steps not in by_steps, "schedule", schedule.num_steps, right)
        by_steps[schedule.num_steps] = schedule
    right = (
        f"give a folder with {SCHEDULE} or {ROUTER}, "
        "or with one folder or file of these for each number of steps"
    )
    check(by_steps, "schedule", str(path), right)
    return by_steps


def read_schedule(path, cur=None, **model):
    """The Schedule in one file, or in one folder of save_pretrained. cur: of a router, the share to
    reuse in percent. model: num_blocks and kinds, as for `read`.
    """
    path = Path(path)
    if path.is_dir():
        names = _names_in(path)
        if not names:
            check(False, "schedule", str(path), _instead_of(path))
        path = path / names[0]
    _check_there(path, "schedule", f"{SCHEDULE} or {ROUTER}")
    if path.suffix == ".safetensors" and _is_schedule(path):
        schedule = Schedule.load(path)
        right = f"{path} is a schedule that skips {schedule.cur_percent:.4g} %; leave cur out"
        check(cur is None, "cur", cur, right)
        return schedule
    return read(path, **model).schedule(cur)


def _instead_of(folder):
    """What to give in place of a folder that holds no schedule itself, as words."""
    several = _folders_in(folder)
    if several:
        return f"choose {' or '.join(several)}"
    return f"give a file, or a folder with {SCHEDULE} or {ROUTER}"


def _check_there(path, field, names):
    """BadInput where there is no such file. names: of the files that a folder may hold instead."""
    if not path.is_file():
        raise BadInput(
            f"{field}: {path} does not exist; "
            f"give a .safetensors, .pt or .json file, or a folder with {names}"
        )


def _check_finished(folder):
    """BadInput where a search or training in this folder has begun and has not ended, or where a
    search has left several schedules in folders of their own.
    """
    for verb, name, key in (
        ("search", "search.json", "search"),
        ("train", "config.json", "training"),
    ):
        path = folder / name
        right = (
            f"a `{verb}` there was killed or is still running; "
            f"the same command again (python -m harmonica {verb} ... --out {folder}), "
            f"or harmonica.{verb}(..., out={str(folder)!r}), goes on with it"
        )
        stored = read_json(path, "schedule", "delete it to begin again") if path.is_file() else {}
        about = stored[key] if isinstance(stored, dict) and key in stored else None
        shares = len(about.get("curs", ())) if isinstance(about, dict) else 0
        if 0 < shares <= len(_folders_in(folder)):
            right = _instead_of(folder)
        check(key not in stored, "schedule", str(folder), right)


def _folders_in(folder):
    """The folders of save_pretrained in a folder, as text."""
    children = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [str(child) for child in children if _names_in(child)]


def _names_in(folder):
    """The files of save_pretrained in a folder."""
    return [name for name in (SCHEDULE, ROUTER) if (folder / name).exists()]


def _may_be_one(path):
    return path.suffix in (".safetensors", ".pt") and not path.name.startswith("state")


def _is_schedule(path):
    try:
        with safe_open(path, "pt") as file:
            return "keep" in file.keys()
    except (SafetensorError, OSError):
        return False  # reading it as a router says what is wrong


def read(path, *, tau=None, num_blocks=None, kinds=None):
    """Read a router or schedule of any format -> Router, with about["format"] set. path: a file, or
    a folder of Router.save_pretrained.

    tau: the threshold, by default the file's own or 0.1. num_blocks: needed for a SmoothCache
    schedule that names only kinds of blocks. kinds: the kinds of blocks that alternate in the
    columns, for files that do not record them; by default attn, mlp, or attn, cross, mlp where a
    SmoothCache schedule names cross. BadInput says what is wrong, also where num_blocks or kinds
    differ from the file's.
    """
    folder, path = Path(path), Path(path)
    if folder.is_dir():
        path = folder / ROUTER
        only_schedule = (folder / SCHEDULE).exists() and not path.exists()
        right = "it holds a schedule, not a router; `schedule info` shows it"
        check(not only_schedule, "file", str(folder), right)
    _check_there(path, "file", ROUTER)
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
            f"file: {path} ends in {path.suffix!r}; give a .safetensors, .pt or .json file"
        )
    about = {**router.about, "format": form, **_kinds(path, router, kinds)}
    right = f"{path} is of {router.num_blocks}"
    check(num_blocks in (None, router.num_blocks), "blocks", num_blocks, right)
    return replace(router, tau=router.tau if tau is None else tau, about=about)


def _of_ours(path):
    """Read a .safetensors file of a router or a schedule -> Router, "harmonica" or "schedule"."""
    if not _is_schedule(path):
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
    suffix = Path(path).suffix
    if suffix not in ENDINGS:
        raise BadInput(f"out: {path} ends in {suffix!r}; choose .safetensors, .pt or .json")
    if suffix == ".safetensors":
        right = "a .safetensors file keeps all scores; give cur where it is applied"
        check(cur is None, "cur", cur, right)
        router.save(path)
    elif suffix == ".pt":
        published_routers.write(path, router, cur)
    else:
        smoothcache.write(path, router, cur)


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
