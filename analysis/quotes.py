"""Blocks of pages that quote the committed tables: functions of groups, {a table's name:
[records.Group]}, and of the folder of results, that return Markdown.
"""

from harmonica.digits.manifest import SHIPPED, SHIPPED_CLOTHES
from harmonica.files import read_json

from . import equal_error, making, methods, table
from .compare import places, settings, share
from .document import listed, markdown, side_by_side
from .methods import ALL_PAIRS, HARMONICA

MODEL, HALF = "DiT-digits 16 tokens", 50  # of the table on the first page
STEPS = 10  # of the table on the first page
SHOWN = {
    "CUR %": "CUR_percent",
    "rFID": "rFID",
    "x_0 error": "x0_mse",
    "FID": "FID",
    "agreement %": "agreement",
    "speedup": "speedup",
    "by MACs": "speedup_theoretical",
}
FIRST = {
    "reused %": "CUR_percent",
    "rFID": "rFID",
    "x_0 error": "x0_mse",
    "speedup on a CPU": "speedup",
    "speedup in theory": "speedup_theoretical",
}
FOUR_DIGITS = ("CUR_percent", "agreement")


def rows_of(lines, columns, leading=(), called="method"):
    """A Markdown table of records.Lines. leading: columns to show before the method, {heading:
    function of a line}. called: the heading over the methods.
    """
    leading = dict(leading)
    rows = [
        [
            *(cell(line) for cell in leading.values()),
            _called(line),
            *_numbers(line, columns),
        ]
        for line in lines
    ]
    return markdown([("table", [*leading, called, *columns], rows)]).strip()


def _with_base(text, line):
    """A table, followed by how many replicates and images its means are over."""
    images = f"{line.mean('num_images'):.0f} images in each"
    means = "One replicate" if line.replicates == 1 else f"Means over {line.replicates} replicates"
    return f"{text}\n\n{means}, {images}."


def _called(line):
    return methods.marked(methods.called(line.row))


def _numbers(line, columns):
    numbers = [table.value(line, column) for column in columns.values()]
    digits = [4 if column in FOUR_DIGITS else 3 for column in columns.values()]
    return ["" if n is None else f"{float(f'{n:.6g}'):.{d}g}" for n, d in zip(numbers, digits)]


def table1_half(groups, results):
    """Half of all blocks reused, in 10 steps."""
    lines = _half(groups["table1"], STEPS)
    return rows_of(lines, FIRST, called=f"mean of {lines[0].replicates} replicates")


def _half(groups, steps):
    """The lines of the setting that README shows, in the order of the table."""
    (group,) = [group for group in groups if group.lines[0].row.num_steps == steps]
    (setting,) = [setting for setting in settings(group) if setting.cur == HALF]
    chosen = [setting.uncached, *setting.methods.values()]
    return [line for line in group.lines if line in chosen]


def base_models(groups, results):
    """How good the shipped base models are by themselves, a line for each kind."""
    kinds = {}
    for folder in (SHIPPED, SHIPPED_CLOTHES):
        for name, about in read_json(folder / "models.json").items():
            if about["training"]:
                kinds.setdefault(name.rsplit("-s", 1)[0], []).append(about["quality"])
    rows = [
        [
            kind,
            f"{qualities[0]['num_images']}",
            listed(f"{quality['FID']:.2f}" if quality else "not yet" for quality in qualities),
            listed(
                f"{quality['agreement']:.1f}" if quality else "not yet" for quality in qualities
            ),
            f"{qualities[0]['FID_held_out']:.2f}",
        ]
        for kind, qualities in kinds.items()
    ]
    headings = [
        "base models",
        "images",
        "FID of seed 0, 1, ...",
        "agreement %",
        "FID of held-out images",
    ]
    return markdown([("table", headings, rows)]).strip()


def table1(groups, results):
    (group,) = [group for group in groups["table1"] if group.lines[0].row.num_steps == STEPS]
    return _with_base(rows_of(group.lines, SHOWN), group.lines[0])


def table2(groups, results):
    """The rows at guidance 1; agreement stands for the CLIP score."""
    lines = [
        line for group in groups["table2"] for line in group.lines if line.row.runs[0].guidance == 1
    ]
    columns = {heading: column for heading, column in SHOWN.items() if heading != "speedup"}
    text = rows_of(lines, columns, {"sampler": lambda line: line.row.sampler})
    return _with_base(text, lines[0])


def whole(name, groups, results):
    """All rows of a table; where it has several groups, a Markdown table of each."""
    texts = [_with_base(rows_of(group.lines, SHOWN), group.lines[0]) for group in groups[name]]
    if len(texts) == 1:
        return texts[0]
    headed = zip(places(groups[name]), texts)
    return "\n\n".join(f"{place}:\n\n{text}" for place, text in headed)


def frontier(groups, results):
    """The two errors of every method by the share of entries it skips, on the model of the first
    page.
    """
    detailed = _in_detail(groups)
    blocks = [
        _by_share(group, f"{heading}, {place}", {heading: SHOWN[heading]})
        for group, place in zip(detailed, places(detailed))
        for heading in ("x_0 error", "rFID")
    ]
    return _with_base(markdown(blocks).strip(), detailed[0].lines[0])


def _by_share(group, title, column):
    """One column of a table as a table of its own: methods below each other, CURs side by side."""
    by_method = {}
    for setting in settings(group):
        if fewer := setting.methods.get(methods.FEWER):
            by_method.setdefault(methods.FEWER, {})[setting.cur] = fewer
    for line in group.lines:
        if not line.row.uncached:
            name = methods.series(line.row)  # FORA's intervals in one row
            by_method.setdefault(name, {})[round(share(line), 1)] = line
    rows = []
    for name in sorted(by_method, key=methods.place_of):
        lines = by_method[name].items()
        rows.append(
            ([methods.marked(name)], {cur: _numbers(line, column)[0] for cur, line in lines})
        )
    return side_by_side([title], rows)


def frontier_everywhere(groups, results):
    """Both errors of every method in all settings of the frontier, half of all blocks skipped."""
    halves = [half for group in groups["frontier"] for half in settings(group) if half.cur == HALF]
    by_place = {half.place: half.methods for half in halves}
    every = dict.fromkeys(name for lines in by_place.values() for name in lines)
    names = sorted(every, key=methods.place_of)
    texts = []
    for heading in ("x_0 error", "rFID"):
        column = {heading: SHOWN[heading]}
        rows = [
            [methods.marked(name)]
            + [_numbers(own[name], column)[0] if name in own else "" for own in by_place.values()]
            for name in names
        ]
        headings = [f"{heading} at CUR {HALF} %", *by_place]
        texts.append(markdown([("table", headings, rows)]).strip())
    empty = (
        " A cell is empty where the sampler draws noise at each step: fewer steps then give other "
        "images, which are not compared one by one."
    )
    return _with_base("\n\n".join(texts), halves[0].uncached) + empty


def _in_detail(groups):
    """The groups of the frontier on the model of the first page."""
    return [g for g in groups["frontier"] if g.lines[0].row.model == MODEL]


def at_equal_error(groups, results):
    """How much compute each method of the frontier needs for HarmoniCa's error."""
    return markdown(equal_error.blocks(groups["frontier"])[1:]).strip()  # without its heading


TRAINED_BY = {
    "standard training (Learning-to-Cache over all pairs of steps)": ALL_PAIRS,
    "SDT + MSE": methods.SDT_MSE,
    "SDT + IEPO = HarmoniCa": HARMONICA,
    "the same with the released code's cumulative lambda": methods.CUMULATIVE,
    "the same with hard scores behind lambda": methods.HARD,
}


def ablations(groups, results):
    """How routers are trained, at CUR 50 %: as trained, and with the last step reused by all."""
    plain, forced = groups["ablation_iepo_vs_mse"]
    standard, *_ = groups["ablation_sdt_vs_standard"]
    lines = {methods.name(line.row): line for line in (*_at(standard), *_at(plain))}
    forced_lines = {methods.name(line.row): line for line in _at(forced)}
    columns = {heading: SHOWN[heading] for heading in ("rFID", "x_0 error")}
    rows = [
        [training, *_numbers(lines[name], columns), *_numbers(forced_lines[name], columns)]
        for training, name in TRAINED_BY.items()
    ]
    headings = ["trained by", *columns, *(f"{name}, last step reused" for name in columns)]
    return _with_base(markdown([("table", headings, rows)]).strip(), plain.lines[0])


def _at(group):
    return [line for line in group.lines if line.row.cur_percent == HALF]


def what_it_takes(groups, results):
    """What the schedules of the frontier that skip half took to make, on the model of the first
    page.
    """
    rows, detailed = [], _in_detail(groups)
    for group, efforts in zip(detailed, making.makings(results, detailed)):
        for line, effort in zip(group.lines, efforts):
            if effort.seconds and round(line.mean("cur_percent")) == HALF:
                rows.append([str(line.row.num_steps), _called(line), *effort.texts])
    headings = ["T", "method", "cache kB", "seconds", "forwards"]
    return markdown([("table", headings, rows)]).strip()
