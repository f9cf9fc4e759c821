"""Joins the parts' JSON files into one JSON file and one Markdown page, named after the device."""

from harmonica.bench.report import table
from harmonica.errors import check
from harmonica.files import atomic, read_json, write_json
from harmonica.lab.ids import slug_of
from tools.gpu_evidence.parts import PARTS

FIRST = (
    "model",
    "way",
    "schedule",
    "T",
    "batch",
    "images",
    "backend",
    "reference_ms",
    "ms",
    "ratio",
)
HIDDEN = ("iqr_ms", "ratio_iqr", "ratio_fastest", "achieved_fastest", "repeats")


def write(out, parts):
    """Write <device>.json and <device>.md, and delete the parts' own files -> path of the JSON."""
    contents = {
        part: read_json(out / f"{part}.json") for part in parts if _path(out, part).exists()
    }
    check(contents, "out", str(out), "no part wrote its file; see the errors above")
    device = next(iter(contents.values()))["device"]
    path = out / f"{slug_of(device)}.json"
    write_json(path, {"device": device, "parts": contents})
    with atomic(path.with_suffix(".md")) as temporary:
        temporary.write_text(markdown(device, contents))
    for part in contents:
        _path(out, part).unlink()
    return path


def _path(out, part):
    return out / f"{part}.json"


def markdown(device, parts):
    about = next(iter(parts.values()))["provenance"]
    lines = [
        f"# Evidence from {device}",
        "",
        f"`python -m tools.gpu_evidence` (code {about['code_sha'][:8]}), torch "
        f"{about['versions']['torch']}. "
        "ratio = reference / ours within one process, the median of the ratios of each repeat. The "
        "JSON file beside this one holds the quartiles.",
        "",
    ]
    for part, content in parts.items():
        lines += [f"## {part}. {PARTS[part].__doc__.strip()}", ""]
        for name, item in content["items"].items():
            lines += [f"**{name}**", "", *_item(item), ""]
    return "\n".join(lines)


def _item(item):
    for reason in ("left_out", "failed"):
        if reason in item:
            return [f"{reason.replace('_', ' ')}: {item[reason]}"]
    keys = {key for row in item["rows"] for key in row if key not in HIDDEN}
    columns = [key for key in FIRST if key in keys] + sorted(keys - {*FIRST})
    if not columns:
        return ["nothing"]
    return table([{column: row.get(column) for column in columns} for row in item["rows"]])
