"""What the paper claims, with its numbers, and what stands for each claim here: tables, and methods
compared in them.
"""

from dataclasses import dataclass, field

from .compare import FEWER, UNCACHED
from .paper_numbers import published
from .tables import ALL_PAIRS, HARMONICA, SDT


@dataclass(frozen=True, kw_only=True)
class PaperClaim:
    """paper: its numbers in a line. tests: {name of a table: ((left, right), ...)}; without any,
    `untested` says why, and by which command it could be tested.
    """

    title: str
    paper: str
    tests: dict = field(default_factory=dict)
    untested: str = ""


def paper_claims():
    """[PaperClaim], the contributions first."""
    learned, text = "table1_class_conditional", "table2_text_to_image"
    return [
        PaperClaim(
            title="SDT beats standard training",
            paper=_trajectory_error(),
            tests={
                "ablation_sdt_vs_standard": (
                    (SDT, ALL_PAIRS),
                    (SDT, "Learning-to-Cache, released"),
                ),
                "ablation_iepo_vs_mse": ((SDT, ALL_PAIRS),),
                "ablation_beta": ((SDT, ALL_PAIRS),),
            },
        ),
        PaperClaim(
            title="IEPO beats MSE",
            paper="Sample grids of SDT with and without IEPO; its numbers are not known to us.",
            tests={
                "ablation_iepo_vs_mse": ((HARMONICA, SDT),),
                "ablation_beta": ((HARMONICA, SDT),),
            },
        ),
        PaperClaim(
            title="HarmoniCa beats Learning-to-Cache at equal CUR",
            paper=_fids(learned, "Learning-to-Cache"),
            tests={
                "table1": ((HARMONICA, "Learning-to-Cache"),),
                "ablation_beta": ((HARMONICA, ALL_PAIRS),),
            },
        ),
        PaperClaim(
            title="HarmoniCa beats fewer steps",
            paper=f"{_fids(learned, FEWER)} {_fids(text, FEWER)}",
            tests={name: ((HARMONICA, FEWER),) for name in ("table1", "table2", "ablation_beta")},
        ),
        PaperClaim(
            title="HarmoniCa beats FORA (text to image)",
            paper=_fids(text, "FORA"),
            tests={"table2": ((HARMONICA, "FORA"),)},
        ),
        PaperClaim(
            title="Caching is nearly lossless",
            paper=f"{_fids(learned, UNCACHED)} {_fids(text, UNCACHED)}",
            tests={name: ((HARMONICA, UNCACHED),) for name in ("table1", "table2")},
        ),
        PaperClaim(
            title="Training is image-free and cheaper",
            paper=_training_cost(),
            tests={"ablation_training_cost": ()},
        ),
        PaperClaim(
            title="Images come faster on a GPU",
            paper=_speedups(learned, text),
            untested="`make reproduce-table1 SCALE=paper`, `make reproduce-table2 SCALE=paper`; measured on a CPU: "
            "[Table 1](tables/table1.digits.md), [bench](bench)",
        ),
        PaperClaim(
            title="The tables hold for DiT-XL/2 and PixArt",
            paper=f"{len(published(learned))} rows of Table 1, {len(published(text))} of Table 2, with these models; everything "
            "tested here is small transformers on 8 x 8 digits.",
            untested="`make reproduce-table1 SCALE=paper`, `make reproduce-table2 SCALE=paper`",
        ),
        PaperClaim(
            title="Caching beats compressing the model",
            paper=_cited("table_compression", "IS", "FID", "speedup_h800"),
            untested="cited only: [cited.md](tables/cited.md)",
        ),
        PaperClaim(
            title="Caching goes together with quantisation",
            paper=_cited("table_quantization", "FID", "speedup"),
            untested="cited only: [cited.md](tables/cited.md)",
        ),
        PaperClaim(
            title="It carries over to U-ViT",
            paper=_cited("table_uvit", "FID", "speedup"),
            untested="cited only: [cited.md](tables/cited.md)",
        ),
    ]


def _blocks(name):
    """The published rows under one uncached model, that first: a row without speedup begins the
    next block.
    """
    found = []
    for row in published(name):
        if row["speedup"] == "":
            found.append([])
        found[-1].append(row)
    return found


def _fids(name, other):
    """FID of HarmoniCa against another method's, block by block."""
    said = []
    for uncached, *rest in _blocks(name):
        ours = next(row for row in rest if row["method"] == "HarmoniCa")
        wanted = {FEWER: uncached["method"]}.get(other, other)
        theirs = (
            [uncached] if other == UNCACHED else [row for row in rest if row["method"] == wanted]
        )
        sampler = f" {uncached['sampler']}" if "sampler" in uncached else ""
        said += [
            f"{ours['FID']} against {row['FID']} ({row['model']}{sampler}, T = {ours['T']}"
            + (f" against {row['T']}" if other == FEWER else "")
            + ")"
            for row in theirs
        ]
    against = {FEWER: FEWER, UNCACHED: "the uncached model's"}.get(other, f"{other}'s")
    return f"FID of HarmoniCa against {against}: {'; '.join(said)}."


def _speedups(*names):
    """The range of HarmoniCa's latency speedups, per published table."""

    def spread(name):
        speeds = sorted(
            (row["speedup"] for row in published(name) if row["method"] == "HarmoniCa"), key=float
        )
        return f"{speeds[0]} to {speeds[-1]} in {name.split('_')[0].replace('table', 'Table ')}"

    return f"Speedup of HarmoniCa by latency: {', '.join(map(spread, names))}."


def _trajectory_error():
    rows = published("figure_error_along_trajectory_T20")
    said = (f"{row['method']} {row['x_mse_at_x0']} at CUR {row['CUR_percent']} %" for row in rows)
    return f"Mean squared error of x_0 against the uncached run ({rows[0]['model']}, T = {rows[0]['T']}): {', '.join(said)}."


def _training_cost():
    return (
        "; ".join(
            f"{row['method']}: {row['images']} images, {row['time_h']} h, {row['memory_GB_per_GPU']} GB per GPU"
            for row in published("table_training_cost")
        )
        + "."
    )


def _cited(name, *columns):
    return (
        "; ".join(
            f"{row['model']}, {row['method']}: "
            + ", ".join(f"{c.split('_')[0]} {row[c] or '-'}" for c in columns)
            for row in published(name)
        )
        + "."
    )
