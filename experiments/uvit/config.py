"""U-ViT under DPM-Solver++ singlestep, T = 20 calls of the model: the paper's third family.

All methods compute as much as DeepCache's mask does, except FORA and Faster Diffusion, whose CUR is
fixed. At digits scale UViT-digits, at paper scale the authors' U-ViT-H/2 on ImageNet 256.
"""

from harmonica.method.settings import RouterTraining
from harmonica.weights import catalogue

from .. import paper_scale, small_scale
from ..paper_scale import Budget, published_router
from ..small_scale import (
    FORA_CUR,
    HARMONICA,
    LEARNING_TO_CACHE,
    check_scale,
    searched,
    training,
)

SAMPLER = "dpm-singlestep"
NUM_STEPS = {"digits": 20, "smoke": 4, "paper": 20}
# The CUR of DeepCache's mask with 18, 6 and 58 blocks: at every second step all but four blocks are
# reused.
CUR = {"digits": 38.89, "smoke": 16.67, "paper": 46.55}
GUIDANCE = 1.4  # which the authors write as 0.4
# Learning-to-Cache's published command. Its loss is a sum over 4 x 32 x 32 = 4096 numbers, ours a
# mean, so beta is divided.
PUBLISHED_LTC = {
    "walk": "ltc",
    "ltc_form": "released",
    "objective": "mse",
    "lr": 0.001,
    "adam_eps": 1e-8,
    "tau": 0.9,
    "beta": 0.1 / 4096,
    "batch": 64,
    "trajectories": 40_000 // 9,
}


def table(scale, rows="core", num_seeds=1):
    """The rows of the table. core: all methods at one CUR. all: at digits scale also at FORA's
    50 %; at paper scale also Learning-to-Cache trained here, FORA, and 10 steps.
    """
    check_scale(scale, *NUM_STEPS)
    if scale == "paper":
        return _published(rows, num_seeds)
    prefix = {"digits": "uvit-digits", "smoke": "smoke-uvit"}[scale]
    label = {"digits": "UViT-digits 16 tokens", "smoke": "smoke-uvit"}[scale]
    setting = (scale, prefix, label, NUM_STEPS[scale], num_seeds)
    group = small_scale.group(*setting, sampler=SAMPLER)
    table_rows = [
        group.uncached(),
        group.row("Faster Diffusion", schedule="faster-diffusion"),
        group.row("DeepCache", schedule="deepcache"),
        group.fora(),
        *_at(group, CUR[scale], "released"),
    ]
    if rows == "all" and scale == "digits":
        half = small_scale.group(*setting, title="{}, half of all reused", sampler=SAMPLER)
        table_rows += [half.uncached(), half.fora(), *_at(half, FORA_CUR, "all-pairs")]
    return table_rows


def _at(group, cur, form):
    """The rows trained or searched for a CUR, and fewer steps (an even number, no more compute)."""
    fewer = 2 * int(group.num_steps * (1 - cur / 100) / 2)
    scale = group.scale
    ltc = training(scale, LEARNING_TO_CACHE, cur, ltc_form=form)
    return [
        group.uncached(fewer),
        group.learned("Learning-to-Cache", ltc, form=form),
        group.learned("HarmoniCa", training(scale, HARMONICA, cur)),
        *searched(group, cur),
    ]


def _published(rows, num_seeds):
    base = paper_scale.base("U-ViT-H/2 ImageNet", catalogue.UVIT, "VIRTUAL_imagenet256_labeled.npz")
    budget, steps, cur = Budget(), NUM_STEPS["paper"], CUR["paper"]
    group = budget.group(base, steps, num_seeds, sampler=SAMPLER, guidance=GUIDANCE)
    ltc = published_router("dpm20_router.pth", tau=0.9)
    table_rows = [
        group.uncached(),
        group.row("Faster Diffusion", schedule="faster-diffusion"),
        group.row("DeepCache", schedule="deepcache"),
        group.learned("HarmoniCa", paper_scale.harmonica(budget, steps, cur_percent=cur)),
        group.row("Learning-to-Cache", form="published router", schedule="router", published=ltc),
        *budget.searched(group, cur),
    ]
    if rows == "all":
        published = RouterTraining(**PUBLISHED_LTC)
        table_rows += [
            group.learned("Learning-to-Cache", published, form="published beta"),
            group.fora(),
            group.uncached(10),
        ]
    return table_rows
