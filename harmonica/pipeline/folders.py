"""The folders that a search writes: one for a schedule, or one in it for each of several shares."""

from harmonica.errors import check
from harmonica.files import read_json
from harmonica.method.schedule import FILE, Schedule
from harmonica.pipeline.about import agreed

SETTINGS = "search.json"  # what the search in a folder is for


def folder_names(curs, several):
    """{share to skip, in percent: the name of its folder}; that of a single share is empty."""
    if not several:
        return dict.fromkeys(curs, "")
    names = {cur: f"cur{cur:.10g}" for cur in curs}
    right = "two of these shares are the same up to rounding"
    check(len(set(names.values())) == len(names), "cur", curs, right)
    return names


def check_free(out, names, begun=None):
    """BadInput where a folder holds what a search into folders of these names would hide or
    overwrite: schedules elsewhere, or those of searches of their own. begun: whether what is in
    these folders may stay, by default if they are of one search that has begun in `out`.
    """
    begun = (out / SETTINGS).exists() if begun is None else begun
    right = "it holds a schedule already; choose another folder"
    check("" in names or not (out / FILE).exists(), "out", str(out), right)
    ours = {*names} if begun else set()
    paths = [*out.glob(f"*/{FILE}"), *out.glob(f"*/*/{FILE}"), *out.glob(f"*/{SETTINGS}")]
    found = {path.relative_to(out).parts[0] for path in paths} - ours
    right = f"it holds folders with schedules ({', '.join(sorted(found))}); choose another folder"
    check(not found, "out", str(out), right)


def stored_batch(out, images):
    """The batch of the search for so many images that has begun in `out`, or None. By default it
    depends on the memory of the machine, which may be another one by now.
    """
    path = out / SETTINGS
    stored = read_json(path, "out", "delete it to begin again") if path.exists() else {}
    settings = stored.get("search", {})
    return settings.get("batch") if settings.get("images") == images else None


def finished(out, names, about):
    """{cur: Schedule} of those of these folders {cur: name} in which there is one. BadInput where
    `out` was for another search than this description tells.
    """
    if not agreed(about, out / SETTINGS, "search", FILE):
        return {}
    places = {cur: out / name for cur, name in names.items()}
    return {
        cur: Schedule.from_pretrained(place)
        for cur, place in places.items()
        if (place / FILE).exists()
    }
