"""What the paper claims, with its numbers, and which tables compare which methods for it."""

from dataclasses import dataclass

from .compare import PUBLISHED
from .methods import (
    ALL_PAIRS,
    DEEPCACHE,
    EFFICIENTDM,
    FASTER_DIFFUSION,
    FEWER,
    FORA,
    HARMONICA,
    PRUNING,
    PTQ,
    QUANTISED_HARMONICA,
    SDT,
    UNCACHED,
)
from .paper_numbers import published

NEEDS_GPUS = "not tested (needs GPUs)"
CLASSES, TEXT = "table1_class_conditional", "table2_text_to_image"
PUBLISHED_FORM = "against its published form (released; at CUR 50 % that is FORA)"
PAIRS_FORM = "against its all-pairs form (this repository's own)"


@dataclass(frozen=True, kw_only=True)
class Part:
    """`left` against `right` in some tables (their names). words: how the sentence begins, where a
    claim has several parts.
    """

    left: str
    right: str
    tables: tuple[str, ...]
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class PaperClaim:
    """paper: its numbers in a line. parts: what is compared, and lossless: whether the first of the
    two is nearly as good as the second, instead of better; costs: whether the records of training
    cost test it instead. Where nothing does: `verdict`, and `untested` with the reason.
    """

    title: str
    paper: str
    parts: tuple[Part, ...] = ()
    lossless: bool = False
    costs: bool = False
    verdict: str = ""
    untested: str = ""


def paper_claims():
    """[PaperClaim], the contributions first."""
    measure = (
        "`make reproduce-table1 SCALE=paper` and `make reproduce-table2 SCALE=paper` measure it"
    )
    sdt = ("ablation_sdt_vs_standard", "ablation_iepo_vs_mse", "ablation_beta")
    return [
        PaperClaim(
            title="SDT beats standard training",
            paper=_trajectory_error(),
            parts=(
                Part(
                    left=SDT,
                    right=PUBLISHED,
                    tables=("ablation_sdt_vs_standard", "ablation_beta"),
                    words=PUBLISHED_FORM.replace("its", "Learning-to-Cache's"),
                ),
                Part(left=SDT, right=ALL_PAIRS, tables=sdt, words=PAIRS_FORM),
            ),
        ),
        PaperClaim(
            title="IEPO beats MSE",
            paper="Sample grids of SDT with and without IEPO; its numbers are not known to us.",
            parts=(
                Part(left=HARMONICA, right=SDT, tables=("ablation_iepo_vs_mse", "ablation_beta")),
            ),
        ),
        PaperClaim(
            title="HarmoniCa beats Learning-to-Cache at equal CUR",
            paper=_fids(CLASSES, "Learning-to-Cache"),
            parts=(
                Part(
                    left=HARMONICA,
                    right=PUBLISHED,
                    tables=("table1", "ablation_sdt_vs_standard", "ablation_beta"),
                    words=PUBLISHED_FORM,
                ),
                Part(
                    left=HARMONICA,
                    right=ALL_PAIRS,
                    tables=("table1", "ablation_sdt_vs_standard", "ablation_beta"),
                    words=PAIRS_FORM,
                ),
            ),
        ),
        PaperClaim(
            title="HarmoniCa beats fewer steps",
            paper=f"{_fids(CLASSES, FEWER)} {_fids(TEXT, FEWER)}",
            parts=(
                Part(left=HARMONICA, right=FEWER, tables=("table1", "table2", "ablation_beta")),
            ),
        ),
        PaperClaim(
            title="HarmoniCa beats FORA (text to image)",
            paper=_fids(TEXT, FORA),
            parts=(Part(left=HARMONICA, right=FORA, tables=("table2",)),),
        ),
        PaperClaim(
            title="Caching is nearly lossless",
            paper=f"{_fids(CLASSES, UNCACHED)} {_fids(TEXT, UNCACHED)}",
            parts=(Part(left=HARMONICA, right=UNCACHED, tables=("table1", "table2")),),
            lossless=True,
        ),
        PaperClaim(title="Training is image-free and cheaper", paper=_training_cost(), costs=True),
        PaperClaim(
            title="Images come faster on a GPU",
            paper=_speedups(CLASSES, TEXT),
            verdict=NEEDS_GPUS,
            untested=f"{measure}; on a CPU: [Table 1](tables/table1.digits.md), [bench](bench)",
        ),
        PaperClaim(
            title="The tables hold for DiT-XL/2 and PixArt",
            paper=f"{len(published(CLASSES))} rows of Table 1, {len(published(TEXT))} of Table 2, "
            "with these models; everything tested here is small transformers on 8 x 8 digits.",
            verdict=NEEDS_GPUS,
            untested=measure,
        ),
        PaperClaim(
            title="Caching beats compressing the model",
            paper=_cited("table_compression", "IS", "FID", "speedup_h800"),
            parts=(
                Part(
                    left=HARMONICA,
                    right=PRUNING,
                    tables=("compression",),
                    words="against pruning to equal compute (Diff-Pruning)",
                ),
                Part(
                    left=HARMONICA,
                    right=f"{PTQ}, W8A8",
                    tables=("compression",),
                    words="against quantisation after training (PTQ, W8A8)",
                ),
                Part(
                    left=HARMONICA,
                    right=f"{EFFICIENTDM}, W8A8",
                    tables=("compression",),
                    words="against EfficientDM (W8A8)",
                ),
            ),
        ),
        PaperClaim(
            title="Caching goes together with quantisation",
            paper=_cited("table_quantization", "FID", "speedup"),
            parts=(
                Part(
                    left=f"{QUANTISED_HARMONICA}, W8A8",
                    right=f"{EFFICIENTDM}, W8A8",
                    tables=("quantisation",),
                ),
            ),
            lossless=True,
        ),
        PaperClaim(
            title="It carries over to U-ViT",
            paper=_cited("table_uvit", "FID", "speedup"),
            parts=(
                Part(
                    left=HARMONICA,
                    right=DEEPCACHE,
                    tables=("uvit",),
                    words="against DeepCache at the same CUR",
                ),
                Part(
                    left=HARMONICA,
                    right=FASTER_DIFFUSION,
                    tables=("uvit",),
                    words="against Faster Diffusion, which computes more",
                ),
            ),
        ),
    ]


def _blocks(name):
    """The published rows under one uncached model, that first: a row without speedup begins a
    block.
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
        ours = next(row for row in rest if row["method"] == HARMONICA)
        wanted = uncached["method"] if other == FEWER else other
        theirs = [row for row in rest if row["method"] == wanted]
        for row in [uncached] if other == UNCACHED else theirs:
            sampler = f" {uncached['sampler']}" if "sampler" in uncached else ""
            steps = f"{ours['T']} against {row['T']}" if other == FEWER else ours["T"]
            said.append(
                f"{ours['FID']} against {row['FID']} ({row['model']}{sampler}, T = {steps})"
            )
    against = {FEWER: FEWER, UNCACHED: "the uncached model's"}.get(other, f"{other}'s")
    return f"FID of HarmoniCa against {against}: {'; '.join(said)}."


def _speedups(*names):
    """The range of HarmoniCa's latency speedups in each published table."""
    said = []
    for name in names:
        ours = [row["speedup"] for row in published(name) if row["method"] == HARMONICA]
        speeds = sorted(ours, key=float)
        table = name.split("_")[0].replace("table", "Table ")
        said.append(f"{speeds[0]} to {speeds[-1]} in {table}")
    return f"Speedup of HarmoniCa by latency: {', '.join(said)}."


def _trajectory_error():
    rows = published("figure_error_along_trajectory_T20")
    said = (f"{row['method']} {row['x_mse_at_x0']} at CUR {row['CUR_percent']} %" for row in rows)
    return (
        f"Mean squared error of x_0 against the uncached run ({rows[0]['model']}, T = "
        f"{rows[0]['T']}): {', '.join(said)}."
    )


def _training_cost():
    said = (
        f"{row['method']}: {row['images']} images, {row['time_h']} h, {row['memory_GB_per_GPU']} "
        "GB per GPU"
        for row in published("table_training_cost")
    )
    return f"{'; '.join(said)}."


def _cited(name, *columns):
    said = []
    for row in published(name):
        numbers = ", ".join(f"{column.split('_')[0]} {row[column] or '-'}" for column in columns)
        said.append(f"{row['model']}, {row['method']}: {numbers}")
    return f"{'; '.join(said)}."
