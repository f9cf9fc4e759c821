"""Which tables there are, with their experiments and the questions asked of each."""

from dataclasses import replace

from .ablation_tables import ABLATIONS
from .compare import PAPERS_STEPS, PUBLISHED
from .compressed_tables import COMPRESSION, QUANTISATION
from .methods import (
    ALL_PAIRS,
    DEEPCACHE,
    EVOLUTION,
    FASTER_DIFFUSION,
    FEWER,
    FORA,
    FORA_PREDICTION,
    FORA_REFITTED,
    HARMONICA,
    HARMONICA_PREDICTION,
    RELEASED,
    RELEASED_PREDICTION,
    SEARCH,
    SEARCH_PREDICTION,
    SEARCH_REFITTED,
    UNCACHED,
)
from .spec import NUM_SEEDS, Table, ask

BEAT_HARMONICA = (
    (SEARCH, HARMONICA, "Search (ours, not the paper's) beats HarmoniCa at the same CUR"),
    (
        SEARCH_PREDICTION,
        HARMONICA,
        "Search + prediction (ours, not the paper's) beats HarmoniCa at the same CUR",
    ),
)
BEATS_FORA = (SEARCH, FORA, "Search (ours, not the paper's) beats FORA")
REFITTED_BEATS_FITTED = ask(  # not core: the clothes have no refitted rows
    (
        SEARCH_REFITTED,
        SEARCH_PREDICTION,
        "Predictions refitted to the final image (ours, not the paper's) beat those fitted to each "
        "block's feature",
    ),
    core=False,
)
SEARCH_IS_OURS = (
    "Search, Search + prediction and its refitted form are ours, not the paper's. A search looks "
    "for the schedule with the smallest error of the final image; with prediction, skipped blocks "
    "are predicted from their last two features instead of being reused; refitted means that the "
    "weights of all predictions are then trained for the final image (not on large models yet)."
)
LOSSLESS = (HARMONICA, UNCACHED, "HarmoniCa is nearly lossless")
TABLE1 = Table(
    name="table1",
    title="Table 1",
    experiments=("dit_xl2_256", "dit_xl2_512"),
    published="table1_class_conditional",
    target="reproduce-table1",
    frontier=True,
    plain_wins="A plain baseline (FORA, fewer steps) beats a trained or searched method",
    questions=ask(
        (
            HARMONICA,
            PUBLISHED,
            "HarmoniCa beats Learning-to-Cache as published, which at CUR 50 % is FORA",
        ),
        (HARMONICA, ALL_PAIRS, "HarmoniCa beats Learning-to-Cache's all-pairs form, which is ours"),
        (HARMONICA, FEWER, "HarmoniCa beats fewer steps at nearly equal compute"),
        LOSSLESS,
        *BEAT_HARMONICA,
        BEATS_FORA,
    )
    + REFITTED_BEATS_FITTED,
    about=SEARCH_IS_OURS,
    about_paper='In the rows "published router" and "published beta", the scores alone decide, as '
    f"with their authors: what is above tau is computed. {SEARCH_IS_OURS}",
)
TABLE2 = Table(
    name="table2",
    title="Table 2",
    experiments=("pixart_alpha", "pixart_sigma"),
    published="table2_text_to_image",
    target="reproduce-table2",
    frontier=True,
    plain_wins="A plain baseline (FORA, fewer steps) beats HarmoniCa or a search",
    measured=("CLIP", "FID", "sFID"),
    questions=ask(
        (
            HARMONICA,
            PAPERS_STEPS,
            "HarmoniCa beats the paper's number of fewer steps, which computes more",
        ),
        (HARMONICA, FEWER, "HarmoniCa beats fewer steps at nearly equal compute"),
        (HARMONICA, FORA, "HarmoniCa at the paper's CUR beats FORA at 50 %"),
        LOSSLESS,
        *BEAT_HARMONICA,
        BEATS_FORA,
    )
    + REFITTED_BEATS_FITTED,
    about="Agreement takes the place of the paper's CLIP score: the percentage of images that "
    "the judge CNN reads as the digit that their caption names. Where guidance is above 1, FID "
    "and agreement mislead: guidance over-sharpens, and errors of a cache can undo some of that. "
    "There are two rows of fewer steps: one has the paper's number of steps and computes more than "
    f"HarmoniCa, the other computes nearly as much. {SEARCH_IS_OURS}",
    about_paper="The CLIP score is 100 times the cosine of image and caption, by the checkpoint "
    "that is named below each block; the paper does not say which one it used. "
    f"For PixArt-Sigma the paper prints only a speedup. {SEARCH_IS_OURS}",
)
FRONTIER = Table(
    name="frontier",
    title="Frontier",
    experiments=("frontier",),
    target="reproduce-frontier",
    frontier=True,
    making=True,
    plain_wins="A plain baseline (FORA with or without predictions, SmoothCache, fewer steps) "
    "beats a trained or searched method (Learning-to-Cache, evolution and predictions on "
    "routers' masks included)",
    questions=ask(
        *BEAT_HARMONICA,
        BEATS_FORA,
        (
            SEARCH_PREDICTION,
            FORA_PREDICTION,
            "Search + prediction (ours, not the paper's) beats FORA's mask with prediction",
        ),
    )
    + REFITTED_BEATS_FITTED
    + ask(
        (
            SEARCH_REFITTED,
            HARMONICA,
            "Search with refitted predictions (ours, not the paper's) beats HarmoniCa at the same "
            "CUR",
        ),
        (
            SEARCH_REFITTED,
            EVOLUTION,
            "Search with refitted predictions (ours, not the paper's) beats evolution of masks, "
            "which reuses",
        ),
        (
            SEARCH_REFITTED,
            FORA_REFITTED,
            "A searched schedule (ours, not the paper's) beats FORA's mask, both with refitted "
            "predictions",
        ),
        (
            SEARCH_PREDICTION,
            HARMONICA_PREDICTION,
            "Search + prediction (ours, not the paper's) beats HarmoniCa's mask with prediction",
        ),
        (
            SEARCH_PREDICTION,
            RELEASED_PREDICTION,
            "Search + prediction (ours, not the paper's) beats released Learning-to-Cache's mask "
            "with prediction",
        ),
        (
            SEARCH,
            RELEASED,
            "Search (ours, not the paper's) beats Learning-to-Cache as released",
        ),
        (
            SEARCH,
            EVOLUTION,
            "Search (ours, not the paper's) beats evolution of masks with as many forwards",
        ),
        (HARMONICA, RELEASED, "HarmoniCa beats Learning-to-Cache as released, below CUR 50 %"),
        (HARMONICA, EVOLUTION, "HarmoniCa beats evolution of masks, which takes fewer forwards"),
        core=False,
    ),
    about="Search, prediction and evolution are not the paper's. Prediction means that a skipped "
    "block's feature is a weighted sum of the last two that were computed; the weights are fitted "
    "to the features, and then may be refitted to the final image, or follow Taylor's formula "
    "(Taylor 2: the formula of second order, from the last three). "
    "Evolution is ECAD's search for masks (crossover and random flips), judged by the error of the "
    "final image; it may spend as many forwards as a search for reuse needs at most. "
    "SmoothCache reuses a feature for at most three steps, so it cannot reach every share, and is "
    "listed at the share that it reaches. With 10 steps, FORA at interval 3 spends one of its four "
    "computed steps on the last step, and is worse than at interval 4, which reuses more.",
)
UVIT = Table(
    name="uvit",
    title="U-ViT",
    experiments=("uvit",),
    published="table_uvit",
    target="reproduce-uvit",
    frontier=True,
    plain_wins="A plain baseline (FORA, Faster Diffusion, DeepCache, fewer steps) beats a trained "
    "or searched method",
    measured=("IS", "FID", "sFID"),
    questions=ask(
        (HARMONICA, DEEPCACHE, "HarmoniCa beats DeepCache at the same CUR"),
        (HARMONICA, FASTER_DIFFUSION, "HarmoniCa beats Faster Diffusion, which computes more"),
        (HARMONICA, RELEASED, "HarmoniCa beats Learning-to-Cache as published, at DeepCache's CUR"),
        (HARMONICA, FEWER, "HarmoniCa beats fewer steps at nearly equal compute"),
        *BEAT_HARMONICA,
    )
    + REFITTED_BEATS_FITTED
    + ask(
        (HARMONICA, ALL_PAIRS, "HarmoniCa beats Learning-to-Cache's all-pairs form, which is ours"),
        core=False,
    ),
    about="T counts calls of the model; the singlestep solver makes two calls for each update. "
    "Faster Diffusion and DeepCache are masks here: they reuse what the blocks added, not the "
    "stream itself, and all long skips run. Both compute everything at every second call. The "
    "paper does not say which calls it chose, nor how many outer blocks DeepCache keeps (here one "
    "in and one out). In the first group FORA reuses 50 %, and so computes less than the methods "
    "that it is compared with. Search and prediction are ours, not the paper's.",
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
