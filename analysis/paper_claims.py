"""What the paper claims, with its numbers, and which tables compare which methods for it."""

from dataclasses import dataclass

from .compare import PAPERS_STEPS, PUBLISHED
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
    SDT_MSE,
    UNCACHED,
)
from .paper_numbers import published
from .paper_words import cited, fids, speedups, training_cost, trajectory_error

NEEDS_GPUS = "not tested (needs GPUs)"
STANDARD, MSE, BETA = "ablation_sdt_vs_standard", "ablation_iepo_vs_mse", "ablation_beta"
CLASSES, TEXT = "table1_class_conditional", "table2_text_to_image"
PUBLISHED_FORM = "against its published form (released; at CUR 50 % that is FORA)"
PAIRS_FORM = "against its all-pairs form (this repository's own)"
PAPERS_NUMBER = "from text, against the paper's number of steps (more compute)"
IN_THEORY = (
    "Its text gives speedups in theory and by latency: 2.07 and 1.69 on PixArt-alpha, "
    "over 2.2 and 1.73 on PixArt-Sigma at 2048 px."
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A comparison of method `left` with `right` in some tables (their names). words: how its
    sentence begins, where a claim has several parts.
    """

    left: str
    right: str
    tables: tuple[str, ...]
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class PaperClaim:
    """A claim of the paper, and what tests it. paper: its own numbers, as a sentence. parts: the
    comparisons; lossless: they ask whether `left` is nearly as good as `right`, not better.
    evidence: the name of a Claim made of other records that tests it instead. If nothing does:
    `verdict`, and why (`untested`).
    """

    title: str
    paper: str
    parts: tuple[Part, ...] = ()
    lossless: bool = False
    evidence: str = ""
    verdict: str = ""
    untested: str = ""


def paper_claims():
    """[PaperClaim], the contributions first."""
    return [*_contributions(), *_tables(), *_costs(), *_elsewhere()]


def _contributions():
    published_form = Part(
        left=SDT_MSE,
        right=PUBLISHED,
        tables=(STANDARD, BETA),
        words=PUBLISHED_FORM.replace("its", "Learning-to-Cache's"),
    )
    pairs_form = Part(left=SDT_MSE, right=ALL_PAIRS, tables=(STANDARD, MSE, BETA), words=PAIRS_FORM)
    iepo = Part(left=HARMONICA, right=SDT_MSE, tables=(MSE, BETA))
    return [
        PaperClaim(
            title="SDT beats standard training",
            paper=trajectory_error(),
            parts=(published_form, pairs_form),
        ),
        PaperClaim(
            title="IEPO beats MSE",
            paper="It shows sample grids of SDT with and without IEPO; we do not know its numbers.",
            parts=(iepo,),
        ),
    ]


def _tables():
    """What Tables 1 and 2 say of quality."""
    by_class = ("table1", STANDARD, BETA)
    return [
        PaperClaim(
            title="HarmoniCa beats Learning-to-Cache at equal CUR",
            paper=fids(CLASSES, "Learning-to-Cache"),
            parts=(
                _harmonica(PUBLISHED, *by_class, "uvit", words=PUBLISHED_FORM),
                _harmonica(ALL_PAIRS, *by_class, "uvit", words=PAIRS_FORM),
            ),
        ),
        PaperClaim(
            title="HarmoniCa beats fewer steps",
            paper=f"{fids(CLASSES, FEWER)} {fids(TEXT, FEWER)}",
            parts=(
                _harmonica(
                    FEWER, "table1", "table2", BETA, "uvit", words="at nearly equal compute"
                ),
                _harmonica(PAPERS_STEPS, "table2", words=PAPERS_NUMBER),
            ),
        ),
        PaperClaim(
            title="HarmoniCa beats FORA (text to image)",
            paper=fids(TEXT, FORA),
            parts=(_harmonica(FORA, "table2"),),
        ),
        PaperClaim(
            title="Caching is nearly lossless",
            paper=f"{fids(CLASSES, UNCACHED)} {fids(TEXT, UNCACHED)}",
            parts=(_harmonica(UNCACHED, "table1", "table2", "uvit"),),
            lossless=True,
        ),
    ]


def _costs():
    """Training, memory and speed, and the size of models."""
    measure = (
        "`make reproduce-table1 SCALE=paper` and `make reproduce-table2 SCALE=paper` measure it"
    )
    return [
        PaperClaim(
            title="Training is image-free, and an update cheaper",
            paper=training_cost(),
            evidence="ablation_training_cost",
        ),
        PaperClaim(
            title="Training for x_0 itself takes 5 times the time and 10 times the memory",
            paper="Its text gives these two factors; we do not know its table of them.",
            evidence="ablation_objective_cost",
        ),
        PaperClaim(
            title="A cache takes less than 6 % of memory",
            paper="Its text gives this share; we do not know for which model and batch.",
            evidence="cache-memory",
        ),
        PaperClaim(
            title="Images come faster on a GPU",
            paper=f"{speedups(CLASSES, TEXT)} {IN_THEORY}",
            verdict=NEEDS_GPUS,
            untested=f"{measure}; [Table 1](tables/table1.digits.md) has speeds on a CPU, and "
            "[bench](bench/nvidia-h200.md) those on a GPU with random weights",
        ),
        PaperClaim(
            title="The tables hold for DiT-XL/2 and PixArt",
            paper=f"{len(published(CLASSES))} rows of Table 1 and {len(published(TEXT))} of Table "
            "2, with these models; everything here was tested on small transformers and 8 x 8 "
            "digits.",
            verdict=NEEDS_GPUS,
            untested=measure,
        ),
    ]


def _elsewhere():
    """Compression, and another family of models."""
    pruned = "against pruning to equal compute (Diff-Pruning)"
    quantised = "against quantisation after training (PTQ, W8A8)"
    with_quantisation = Part(
        left=f"{QUANTISED_HARMONICA}, W8A8",
        right=f"{EFFICIENTDM}, W8A8",
        tables=("quantisation",),
    )
    learned = "against Learning-to-Cache as published (at CUR 50 % that is FORA), at the same CUR"
    deepcache = "against DeepCache at the same CUR"
    faster = "against Faster Diffusion, which computes more"
    fewer = "against fewer steps at nearly equal compute"
    return [
        PaperClaim(
            title="Caching beats compressing the model",
            paper=cited("table_compression", "IS", "FID", "speedup_h800"),
            parts=(
                _harmonica(PRUNING, "compression", words=pruned),
                _harmonica(f"{PTQ}, W8A8", "compression", words=quantised),
                _harmonica(
                    f"{EFFICIENTDM}, W8A8", "compression", words="against EfficientDM (W8A8)"
                ),
            ),
        ),
        PaperClaim(
            title="Caching goes together with quantisation",
            paper=cited("table_quantization", "FID", "speedup"),
            parts=(with_quantisation,),
            lossless=True,
        ),
        PaperClaim(
            title="It carries over to U-ViT",
            paper=cited("table_uvit", "FID", "speedup"),
            parts=(
                _harmonica(PUBLISHED, "uvit", words=learned),
                _harmonica(DEEPCACHE, "uvit", words=deepcache),
                _harmonica(FASTER_DIFFUSION, "uvit", words=faster),
                _harmonica(FEWER, "uvit", words=fewer),
            ),
        ),
    ]


def _harmonica(right, *tables, words=""):
    """The Part that compares HarmoniCa with a method."""
    return Part(left=HARMONICA, right=right, tables=tables, words=words)
