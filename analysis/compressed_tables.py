"""The tables of compressed models: their experiments, and the questions asked of each."""

from .methods import (
    EFFICIENTDM,
    HARMONICA,
    PRUNING,
    PTQ,
    QUANTISED_HARMONICA,
    QUANTISED_SEARCH,
    SEARCH,
)
from .spec import Table, ask

W8, W4 = "W8A8", "W4A8"
COMPRESSION = Table(
    name="compression",
    title="Compression",
    experiments=("compression",),
    target="reproduce-compression",
    published="table_compression",
    measured=("IS", "FID", "sFID"),
    questions=ask(
        (HARMONICA, PRUNING, "HarmoniCa beats a model pruned to equal compute (Diff-Pruning)"),
        (HARMONICA, f"{PTQ}, {W8}", "HarmoniCa beats W8A8 quantisation after training"),
        (HARMONICA, f"{EFFICIENTDM}, {W8}", "HarmoniCa beats W8A8 quantisation by EfficientDM"),
    )
    + ask(
        (HARMONICA, f"{EFFICIENTDM}, {W4}", "HarmoniCa beats W4A8 quantisation by EfficientDM"),
        (
            SEARCH,
            PRUNING,
            "Search (ours, not the paper's) beats a model pruned to equal compute",
        ),
        (
            SEARCH,
            f"{EFFICIENTDM}, {W8}",
            "Search (ours, not the paper's) beats W8A8 quantisation by EfficientDM",
        ),
        core=False,
    ),
    about="Quantisation is only simulated: it counts the plain model's multiply-accumulates, and "
    "no latency is given. W8A8 means 8 bits for the weights and 8 for the inputs of the blocks' "
    "layers. Sizes include everything that is stored, and are compared with the model in float32. "
    "PTQ uses the ranges with the smallest error, and AdaRound. Diff-Pruning fine-tunes the pruned "
    "model for as many steps as its record says. x_0 error compares with the plain model's own "
    "images, which a retrained model need not reproduce, so it favours caching; rFID and FID do "
    "not.",
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
            "HarmoniCa on the quantised model (W8A8) beats the quantised model alone, "
            "which computes more",
        ),
        (
            f"{QUANTISED_SEARCH}, {W8}",
            f"{QUANTISED_HARMONICA}, {W8}",
            "Search (ours, not the paper's) beats HarmoniCa, both on the quantised model (W8A8)",
        ),
    )
    + ask(
        (
            f"{QUANTISED_HARMONICA}, {W4}",
            f"{EFFICIENTDM}, {W4}",
            "HarmoniCa on the model with 4-bit weights (W4A8) beats this model alone",
        ),
        (
            f"{QUANTISED_HARMONICA}, {W8}",
            HARMONICA,
            "HarmoniCa on the quantised model (W8A8) beats HarmoniCa on the plain one",
        ),
        core=False,
    ),
    about="Routers are trained, and schedules searched, on the quantised model: it is both teacher "
    "and student. All errors are measured against the plain uncached model, so they include those "
    "of the quantisation. Quantisation is only simulated, so no latency is given.",
)
