"""Which tables there are, with their experiments and the questions asked of each."""

from dataclasses import replace

from .ablation_tables import ABLATIONS
from .compare import PAPERS_STEPS, PUBLISHED
from .methods import (
    ALL_PAIRS,
    DEEPCACHE,
    EFFICIENTDM,
    FASTER_DIFFUSION,
    FEWER,
    FORA,
    FORA_PREDICTION,
    HARMONICA,
    HARMONICA_PREDICTION,
    PRUNING,
    PTQ,
    QUANTISED_HARMONICA,
    QUANTISED_SEARCH,
    RELEASED,
    SEARCH,
    SEARCH_PREDICTION,
    UNCACHED,
)
from .spec import NUM_SEEDS, Table, ask

OURS = (
    (SEARCH, HARMONICA, "Ours, not the paper's: search over HarmoniCa at the same CUR"),
    (
        SEARCH_PREDICTION,
        HARMONICA,
        "Ours, not the paper's: search with prediction over HarmoniCa at the same CUR",
    ),
    (SEARCH, FORA, "Ours, not the paper's: search over FORA"),
)
SEARCH_IS_OURS = (
    "Search and Search + prediction are ours, not the paper's: schedules that are searched by the "
    "error of the final image, and skipped blocks that are predicted from their last two features."
)
LOSSLESS = (HARMONICA, UNCACHED, "HarmoniCa is nearly lossless")
TABLE1 = Table(
    name="table1",
    title="Table 1",
    experiments=("dit_xl2_256", "dit_xl2_512"),
    published="table1_class_conditional",
    target="reproduce-table1",
    frontier=True,
    plain_wins="A plain baseline (FORA, fewer steps) ahead of a trained or searched method",
    questions=ask(
        (
            HARMONICA,
            PUBLISHED,
            "HarmoniCa over Learning-to-Cache as published, which at CUR 50 % is FORA",
        ),
        (HARMONICA, ALL_PAIRS, "HarmoniCa over Learning-to-Cache's all-pairs form, which is ours"),
        (HARMONICA, FEWER, "HarmoniCa over fewer steps at nearly equal compute"),
        LOSSLESS,
        *OURS,
    ),
    about=SEARCH_IS_OURS,
    about_paper="Published router, published beta: as their authors give them, "
    f"the scores over tau decide. {SEARCH_IS_OURS}",
)
TABLE2 = Table(
    name="table2",
    title="Table 2",
    experiments=("pixart_alpha", "pixart_sigma"),
    published="table2_text_to_image",
    target="reproduce-table2",
    frontier=True,
    plain_wins="A plain baseline (FORA, fewer steps) ahead of HarmoniCa or a search",
    measured=("CLIP", "FID", "sFID"),
    questions=ask(
        (
            HARMONICA,
            PAPERS_STEPS,
            "HarmoniCa over the paper's number of fewer steps (more compute)",
        ),
        (HARMONICA, FEWER, "HarmoniCa over fewer steps at nearly equal compute"),
        (HARMONICA, FORA, "HarmoniCa at the paper's CUR over FORA at 50 %"),
        LOSSLESS,
        *OURS,
    ),
    about="Agreement takes the place of the paper's CLIP score: the percentage of images that "
    "the judge CNN reads as the digit that their caption names. Where guidance is above 1, FID "
    "and agreement mislead: guidance over-sharpens, and errors of a cache can undo some of that. "
    "Of the two rows of fewer steps one has the paper's number and computes more than HarmoniCa, the "
    f"other computes nearly as much. {SEARCH_IS_OURS}",
    about_paper="CLIP score: 100 x the cosine of image and caption under the checkpoint that "
    "stands below each block; the paper does not say which it used. "
    f"Of PixArt-Sigma it prints a speedup alone. {SEARCH_IS_OURS}",
)
FRONTIER = Table(
    name="frontier",
    title="Frontier",
    experiments=("frontier",),
    target="reproduce-frontier",
    frontier=True,
    making=True,
    plain_wins="A plain baseline (FORA, with or without predictions, SmoothCache, fewer steps) ahead of "
    "a method that is trained or searched, Learning-to-Cache and predictions on routers' masks included",
    questions=ask(
        *OURS,
        (
            SEARCH_PREDICTION,
            FORA_PREDICTION,
            "Ours, not the paper's: search with prediction over FORA's mask with prediction",
        ),
    )
    + ask(
        (
            SEARCH_PREDICTION,
            HARMONICA_PREDICTION,
            "Ours, not the paper's: search with prediction over HarmoniCa's mask with prediction",
        ),
        core=False,
    ),
    about="Search, prediction and evolution are not the paper's. Prediction: a skipped block's "
    "feature is a weighted sum of the last two that were computed, by weights that are fitted or by "
    "Taylor's formula (Taylor 2: of second order, from the last three). SmoothCache reuses a feature "
    "for three steps at most, so it cannot reach every share and stands at the one that it has. In 10 "
    "steps FORA at interval 3 spends one of its four computed steps on the last and is worse than at "
    "interval 4, which reuses more.",
)
UVIT = Table(
    name="uvit",
    title="U-ViT",
    experiments=("uvit",),
    published="table_uvit",
    target="reproduce-uvit",
    frontier=True,
    plain_wins="A plain baseline (FORA, Faster Diffusion, DeepCache, fewer steps) ahead of a method "
    "that is trained or searched",
    measured=("IS", "FID", "sFID"),
    questions=ask(
        (HARMONICA, DEEPCACHE, "HarmoniCa over DeepCache at the same CUR"),
        (HARMONICA, FASTER_DIFFUSION, "HarmoniCa over Faster Diffusion, which computes more"),
        (HARMONICA, RELEASED, "HarmoniCa over Learning-to-Cache as published, at DeepCache's CUR"),
        (HARMONICA, FEWER, "HarmoniCa over fewer steps at nearly equal compute"),
        *OURS[:2],
    )
    + ask(
        (HARMONICA, ALL_PAIRS, "HarmoniCa over Learning-to-Cache's all-pairs form, which is ours"),
        core=False,
    ),
    about="T counts calls of the model, of which the singlestep solver makes two for one update. "
    "Faster Diffusion and DeepCache are masks here: what blocks added is reused, not the stream "
    "itself; all long skips run. Both compute everything at every second call; the paper does not "
    "say which calls it chose, nor how many outer blocks DeepCache keeps (here one in, one out). "
    "In the first group FORA reuses 50 % and so computes less than what it is compared with. Search "
    "and prediction are ours, not the paper's.",
)


W8, W4 = "W8A8", "W4A8"
COMPRESSION = Table(
    name="compression",
    title="Compression",
    experiments=("compression",),
    target="reproduce-compression",
    published="table_compression",
    measured=("IS", "FID", "sFID"),
    questions=ask(
        (HARMONICA, PRUNING, "HarmoniCa over a model pruned to equal compute (Diff-Pruning)"),
        (HARMONICA, f"{PTQ}, {W8}", "HarmoniCa over W8A8 quantisation after training"),
        (HARMONICA, f"{EFFICIENTDM}, {W8}", "HarmoniCa over W8A8 quantisation by EfficientDM"),
    )
    + ask(
        (HARMONICA, f"{EFFICIENTDM}, {W4}", "HarmoniCa over W4A8 quantisation by EfficientDM"),
        (SEARCH, PRUNING, "Ours, not the paper's: search over a model pruned to equal compute"),
        (
            SEARCH,
            f"{EFFICIENTDM}, {W8}",
            "Ours, not the paper's: search over W8A8 quantisation by EfficientDM",
        ),
        core=False,
    ),
    about="Quantisation is simulated: its multiply-accumulates are counted as the plain model's, "
    "no latency is given, and W8A8 says how many bits weights and inputs of the blocks' layers "
    "have. Sizes are of all that is stored, against the model in float32. PTQ: ranges of least "
    "error and AdaRound. Diff-Pruning: fine-tuned by as many steps as its record says. x_0 error asks "
    "for the plain model's own images, which a model that was trained again need not give, so it "
    "favours caching; rFID and FID do not.",
)
QUANTISATION = Table(
    name="quantisation",
    title="Caching with quantisation",
    experiments=("quantisation",),
    target="reproduce-compression",
    published="table_quantization",
    measured=("IS", "CLIP", "FID", "sFID"),
    questions=ask(
        (
            f"{QUANTISED_HARMONICA}, {W8}",
            f"{EFFICIENTDM}, {W8}",
            "HarmoniCa over the quantised model (W8A8) against the quantised model alone, "
            "which computes more",
        ),
        (
            f"{QUANTISED_SEARCH}, {W8}",
            f"{QUANTISED_HARMONICA}, {W8}",
            "Ours, not the paper's: search over HarmoniCa, both on the quantised model (W8A8)",
        ),
    )
    + ask(
        (
            f"{QUANTISED_HARMONICA}, {W4}",
            f"{EFFICIENTDM}, {W4}",
            "The same with 4-bit weights (W4A8)",
        ),
        (
            f"{QUANTISED_HARMONICA}, {W8}",
            HARMONICA,
            "HarmoniCa on the quantised model (W8A8) against HarmoniCa on the plain one",
        ),
        core=False,
    ),
    about="The quantised model is teacher and student of its routers, and what its schedules are "
    "searched on. All errors are against the plain uncached model, so quantisation's are part of "
    "them. Quantisation is simulated: no latency is given.",
)


TABLES = {
    table.name: table
    for table in (TABLE1, TABLE2, UVIT, FRONTIER, COMPRESSION, QUANTISATION, *ABLATIONS)
}
CLOTHES = {
    "table1": replace(TABLE1, scale="clothes", committed="core", num_seeds=NUM_SEEDS),
    "frontier": replace(FRONTIER, scale="clothes", committed="core", num_seeds=NUM_SEEDS),
}
COMMITTED = (*TABLES.values(), *CLOTHES.values())


def table_of(name, scale):
    """The Table of this name, as it is at this scale."""
    return (CLOTHES if scale == "clothes" else {}).get(name, TABLES[name])
