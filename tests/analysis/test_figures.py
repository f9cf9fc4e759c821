"""Figures: which a group has, one look per method, the same bytes each time, and nothing drawn of
what is not there.
"""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from analysis import figures, methods, records
from analysis.figures import curves, error, heat_maps, lambdas, routers, samples, speedup, style
from analysis.intervals import interval
from analysis.tables import COMMITTED, FRONTIER
from experiments import ablation, table2
from harmonica.errors import BadInput
from harmonica.lab.store import Store

ROOT = Path(__file__).resolve().parents[2]
TABLE = ("samples", "routers", "error", "training", "speedup")


@pytest.fixture
def loaded(measured):
    """-> a function that names an ablation, makes up its records and returns (root, {start of a
    name: group}).
    """

    def load(name, num_seeds=1, **options):
        rows = import_module(f"experiments.ablation_{name}.config").table(
            "smoke", num_seeds=num_seeds
        )
        root, rows = measured(named=rows, **options)
        return root, {group.name.split(", T")[0]: group for group in records.load(root, rows)}

    return load


def test_groups_with_figures_of_their_own_are_called_so():
    """Or a group with another name by now would have a table's figures, unseen."""
    names = {row.group for table in COMMITTED for row in table.rows(table.scale, table.committed)}
    assert all(any(name.startswith(start) for name in names) for start in figures.OTHERS)


def test_no_two_methods_look_the_same_and_variants_share_their_methods_colour():
    looks = {name: methods.look(name) for name in methods.METHODS if name != "Learning-to-Cache"}
    in_grey = [
        tuple(sorted((k, v) for k, v in look.items() if k != "color")) for look in looks.values()
    ]
    assert len(set(in_grey)) == len(looks)
    for name, look in looks.items():
        family = "HarmoniCa" if name.startswith("SDT + IEPO") else name.split(", ")[0]
        known = family if family in methods.METHODS else family.removesuffix(" + prediction")
        assert look["color"] == methods.look(known)["color"]


def test_methods_that_stand_in_one_frontier_have_markers_of_their_own():
    names = {methods.series(row) for row in FRONTIER.rows("digits", "all")}
    markers = [methods.look(name)["marker"] for name in names]
    assert len(names) > 10 and len({*markers}) == len(markers)


def test_round_brackets_do_not_move_a_method_in_a_legend():
    assert methods.place_of("FORA, intervals 2, 3 (50, 66.67 %)") == methods.place_of("FORA")
    assert methods.place_of("SmoothCache (33.33 %)") == methods.place_of("SmoothCache") > 0


def test_every_row_of_every_ablation_has_a_look():
    assert set(ablation.METHODS) <= set(methods.METHODS)
    for name in ("HarmoniCa, C = 2", "HarmoniCa, DDIM's router", "FORA + Taylor, interval 7"):
        look, own = methods.look(name), methods.look(name.split(", ")[0])
        assert look == own | {"markerfacecolor": "none"}


def test_methods_to_come_have_a_line_and_an_unknown_one_is_refused():
    for name in ("Search", "Search + prediction", "FORA + Taylor", "SmoothCache"):
        assert name in methods.METHODS
    assert methods.method("SmoothCache").plain and not methods.method("Search").plain
    with pytest.raises(BadInput, match="'Serach'.*analysis/methods.py has no line for it"):
        methods.look("Serach")


def test_a_table_and_each_ablation_have_the_figures_that_tell_something(measured, loaded):
    (table,) = records.load(*measured(folder="table"))
    assert figures.names(table) == TABLE
    found = {
        name: figures.names(group)
        for ablation in ("iepo_vs_mse", "refresh", "threshold", "beta", "transfer", "router")
        for name, group in loaded(ablation)[1].items()
    }
    assert found == {
        "IEPO against MSE": ("error", "lambda", "routers", "methods"),
        "IEPO against MSE, last step reused": ("error", "methods"),
        "refresh of lambda": ("sweep",),
        "threshold": ("sweep",),
        "CUR and quality": ("speedup",),
        "transfer between samplers": ("methods",),
        "router": ("methods",),
        "beta given": ("sweep",),
    }


def test_where_nothing_is_weighted_there_is_no_panel_of_lambda(loaded, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(curves, "legend", lambda figure, axes: drawn.append(len(figure.axes)))
    for name in ("ltc_training", "iepo_vs_mse"):
        root, groups = loaded(name, folder=name)
        curves.draw(root, next(iter(groups.values())), [tmp_path / f"{name}.png"])
    assert drawn == [2, 3]


def test_what_has_nothing_to_show_is_not_drawn(measured):
    (group,) = records.load(*measured())
    plain = replace(group, lines=tuple(line for line in group.lines if not line.row.runs[0].router))
    assert figures.names(plain) == ("samples", "error", "speedup")
    assert figures.names(replace(group, lines=group.lines[:1])) == ()
    assert not lambdas.shows(plain)


def test_the_same_records_give_the_same_bytes_in_both_formats(loaded, tmp_path):
    for name in ("refresh", "transfer"):
        root, groups = loaded(name, folder=name)
        first, again = (
            figures.draw(root, groups.values(), tmp_path / name / folder)
            for folder in ("first", "again")
        )
        assert {path.suffix for path in first} == {".png", ".pdf"} and len(first) == 2 * len(groups)
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, again))
        assert not any(
            word in path.read_bytes()
            for path in first
            for word in (b"CreationDate", b"Producer", b"Software")
        )


def test_files_keep_the_names_that_the_pages_link(measured):
    (group,) = records.load(*measured())
    named = replace(group, name="DiT-digits 16 tokens, T = 10")
    page = (ROOT / "docs" / "results.md").read_text()
    for figure in ("samples", "routers"):
        assert f"results/figures/{figures.file_name(named, figure)}" in page


def test_sample_grids_are_those_of_tables_and_of_sdt_against_standard_training(rows):
    sdt, beta = (
        import_module(f"experiments.ablation_{name}.config").table("smoke")
        for name in ("sdt_vs_standard", "beta")
    )
    assert figures.pictured(rows() + sdt + beta) == list(
        dict.fromkeys(row.runs[0] for row in rows() + sdt)
    )


def test_garments_are_as_large_as_the_page_allows_and_stand_alone(measured, tmp_path, monkeypatch):
    (group,) = records.load(*measured())
    garments = np.random.default_rng(0).uniform(-1, 1, (10, 1, 28, 28))
    monkeypatch.setattr(records, "images", lambda *of: garments)
    path = tmp_path / "garments.png"
    figures.samples.draw(tmp_path, group, [path])
    height, width = plt.imread(path).shape[:2]
    assert width / 20 > 28  # each shown with more than a pixel for every one of its own
    assert height / len(group.lines) > 28


def test_a_router_of_another_sampler_is_not_shown_as_the_rows_own(loaded):
    _, groups = loaded("transfer")
    lines = groups["transfer between samplers"].lines
    assert {line.row.method for line in lines if routers.own(line)} == {"HarmoniCa"}


def test_searched_masks_stand_beside_the_routers(measured, tmp_path):
    levels = {"smoothcache": 2.0}
    root, rows = measured(named=FRONTIER.rows("smoke"), levels=levels)
    (group,) = records.load(root, rows)
    shown = [line.row.method for line in group.lines if routers.searched(line)]
    assert shown == ["Search", "Search + prediction"]
    last = [line.row.runs[0] for line in group.lines if routers.searched(line)][-1]
    keep, predicted = routers.searched_mask(root, last)
    assert keep.dtype == predicted.dtype == bool and not (keep & predicted).any()
    without = replace(group, lines=tuple(x for x in group.lines if not routers.searched(x)))
    for name, own in (("with", group), ("without", without)):
        heat_maps.draw(root, own, [tmp_path / f"{name}.png"])
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()
    path = Store(root).file_path(last.made)
    path.write_bytes(b"cut off")
    with pytest.raises(BadInput, match=f"{path.name} is missing or not a whole schedule file"):
        heat_maps.draw(root, group, [tmp_path / "none.png"])


@pytest.mark.parametrize(
    "counts, most, places",
    [
        ([1], 3, [(0, 0)]),
        ([3], 3, [(0, 0), (0, 1), (0, 2)]),
        ([4], 3, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ([2], 0, [(0, 0), (1, 0)]),
        ([1, 3], 4, [(0, 0), (1, 0), (1, 1), (1, 2)]),
    ],
)
def test_maps_fill_their_lines_and_every_cur_begins_one(counts, most, places):
    assert heat_maps._places(counts, most) == places


def test_intervals_and_numbers_of_steps_are_one_line_each(loaded):
    _, groups = loaded("beta")
    found = speedup.by_series(groups["CUR and quality"])
    assert list(found) == [
        "fewer steps",
        "FORA",
        "Learning-to-Cache, all pairs",
        "SDT + MSE",
        "HarmoniCa",
    ]
    assert [line.row.runs[0].interval for line in found["FORA"]] == [None, 3, 4]


def test_without_latencies_speedup_is_drawn_in_theory_alone(loaded, tmp_path):
    root, groups = loaded("beta", latency=False)
    assert figures.draw(root, groups.values(), tmp_path / "out")


def test_the_frontier_has_the_same_bytes_each_time_and_takes_any_number_of_groups(loaded, tmp_path):
    _, groups = loaded("beta")
    (group,) = groups.values()
    for count in (1, 3, 5):
        first, again = (
            figures.draw_frontier([group] * count, tmp_path / f"{count} {folder}", "beta")
            for folder in ("first", "again")
        )
        assert [path.name for path in first] == ["beta.frontier.png", "beta.frontier.pdf"]
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, again))
    assert figures.draw_frontier([replace(group, lines=group.lines[:1])], tmp_path, "beta") == []


def test_every_committed_picture_stands_in_a_table():
    pages = "".join(path.read_text() for path in (ROOT / "results" / "tables").glob("*.md"))
    shown = {path.stem for path in (ROOT / "results" / "figures").iterdir()}
    assert [stem for stem in sorted(shown) if f"figures/{stem}.png" not in pages] == []


def test_a_curve_that_misses_the_cur_of_its_panel_says_its_own(measured, text_rows):
    (group,) = records.load(*measured(named=text_rows()))
    assert error._labels(error._panels(group)) == {
        "FORA": "FORA (50 %)",
        "HarmoniCa": "HarmoniCa",
        "Search": "Search",
        "Search + prediction": "Search + prediction",
        "Search + prediction, refitted": "Search + prediction, refitted",
    }


def test_every_curve_is_in_one_panel_or_named_below_the_title(loaded):
    _, groups = loaded("beta")
    group = _moved(groups["CUR and quality"], {"FORA": 50.0, "FORA, interval 3": 61.0})
    panels = error._panels(group)
    shown = [line for _, lines in panels for line in lines]
    others = [line for line in error._curves(group) if line not in shown]
    assert [methods.name(line.row) for line in others] == ["FORA, interval 4"]
    assert "FORA at 75 %" in error._left_out(group, panels)
    assert error._labels(panels)["FORA"] == "FORA, intervals 2, 3 (50, 61 %)"
    assert error._left_out(group, [*panels, (75, others)]) == ""


def _moved(group, curs):
    """The group with other CURs, {a row's method: per cent}."""

    def moved(line):
        cur = curs.get(methods.name(line.row))
        return line if cur is None else replace(line, values=_with_cur(line, cur))

    return replace(group, lines=tuple(map(moved, group.lines)))


def _with_cur(line, cur):
    return line.values | {"cur_percent": np.full(line.replicates, cur)}


def test_of_two_curves_that_coincide_both_can_be_seen():
    ax = plt.figure().subplots()
    for index, name in enumerate(("Faster Diffusion", "FORA")):
        error._curve(ax, np.ones((1, 20)), index, **methods.look(name))
    broken, solid = ax.lines
    assert broken.get_zorder() > solid.get_zorder() and solid.get_linestyle() == "-"
    assert broken.get_linestyle() != "-" and broken.get_markevery() != solid.get_markevery()
    plt.close()


def test_rows_that_draw_other_noise_are_not_compared_image_by_image(
    measured, text_rows, tmp_path, monkeypatch
):
    shown, strip = [], samples._strip
    monkeypatch.setattr(samples, "_strip", lambda grids: shown.append(grids) or strip(grids))
    block = next(block for block in table2.BLOCKS if block.sampler == "iddpm")
    root, rows = measured(named=text_rows(block=block))
    (group,) = records.load(root, rows)
    samples.draw(root, group, [tmp_path / "samples.png"])
    differ = [line.row.uncached and line is not group.lines[0] for line in group.lines]
    _, differences = shown
    assert any(differ) and [np.isnan(grid).all() for grid in differences] == differ


def test_symbols_of_the_paper_are_set_as_such():
    assert style.with_symbols(ablation.DIRECT) == "$x_0$ itself"


def test_a_bar_that_would_reach_zero_starts_at_the_lowest_replicate():
    assert style.drawn_interval([0.9, 1.0, 1.1]) == interval([0.9, 1.0, 1.1])
    assert style.drawn_interval([0.1, 0.2, 2.0]) == (0.1, interval([0.1, 0.2, 2.0])[1])
