"""What all experiments have in common at the scales that need no GPU: base models, how many images,
how routers are trained.
"""

from dataclasses import replace

from harmonica.digits.manifest import folders, manifest
from harmonica.errors import check
from harmonica.lab.makings import ModelSpec
from harmonica.method.settings import RouterTraining
from harmonica.search.settings import Settings

from .rows import Group

IMAGES = {
    "digits": {"num_images": 1000, "batch": 100},
    "clothes": {"num_images": 2000, "batch": 100},
    "smoke": {"num_images": 32, "batch": 16},
}
# Equal for all routers: every trainable row gets `trajectories` updates of `batch` samples. The
# released code's lr 0.01 cannot cross tau in so few updates, and Adam's default eps is as large as
# these gradients.
TRAINING = {"batch": 16, "lr": 0.1, "adam_eps": 1e-12, "tau": 0.1}
TRAJECTORIES = {"digits": 100, "clothes": 100, "smoke": 2}
# Fewer images for the clothes (28 x 28 pixels, guidance): a step takes ten times a digit's.
CLOTHES_SEARCH = {"images": 32, "check_images": 48}
SMOKE_SEARCH = {
    "images": 4,
    "check_images": 4,
    "directions": 1,
    "stages": (1.0,),
    "rounds": 1,
    "swaps": 2,
}
SEARCHES = {"clothes": CLOTHES_SEARCH, "smoke": SMOKE_SEARCH}
LAMBDA = {"refresh": 10, "lambda_batch": 16}
CLOTHES_TRAINING = {"batch": 8, "lambda_batch": 8}
LEARNING_TO_CACHE = {"walk": "ltc", "objective": "mse"}
# An evolution judges masks by few images and keeps few, so that its forwards suffice for many
# masks: with 48 images and a population of 24 its error is two to four times as large. With ten
# times the forwards more of both are better. (Replicate 0 of DiT-digits, on noise of no table.)
EVOLUTIONS = {1: {"images": 6}, 10: {"images": 18, "population": 24}}
LARGE = ("dit-digits-fine", "dit-clothes")  # models on which a refit takes minutes
FORA_CUR = 50.0  # at interval 2
HARMONICA = {"walk": "sdt", "objective": "leave-one-out", "lambda_scores": "soft"}


def base_models(scale, prefix):
    """-> ModelSpecs of all base models whose name without the seed is `prefix`, by their seeds."""
    by_seed = {
        int(name.rsplit("-s", 1)[1]): ModelSpec(name=name, sha256=about["sha256"], scale=scale)
        for name, about in manifest().items()
        if name.rsplit("-s", 1)[0] == prefix and name.rsplit("-s", 1)[-1].isdigit()
    }
    places = " or ".join(map(str, folders()))
    right = (
        f"there is none in {places}; `make base-models SCALE={scale}` trains them for the folder "
        "that HARMONICA_MODELS names; unset it to use the shipped ones"
    )
    check(by_seed, "base model", prefix, right)
    return tuple(by_seed[seed] for seed in sorted(by_seed))


def group(scale, prefix, label, num_steps, seeds, *, title="{}", sampler="ddim", guidance=1.0):
    """A Group on the base models of this prefix. Its label names the guidance where there is one;
    in `title`, {} stands for that label.
    """
    if guidance != 1:
        label = f"{label}, guidance {guidance:g}"
    return Group(
        title=title.format(label),
        label=label,
        models=base_models(scale, prefix),
        seeds=seeds,
        sampler=sampler,
        num_steps=num_steps,
        guidance=guidance,
        images=IMAGES[scale],
    )


def check_scale(scale, *scales):
    """BadInput at a scale that an experiment has no rows for."""
    right = f"this experiment has {', '.join(scales)}; the clothes have Table 1 and the frontier"
    check(scale in scales, "scale", scale, right)


def search(scale, **settings):
    """How schedules are searched, with `settings` changed; at smoke scale as little as possible."""
    return Settings(**{**SEARCHES.get(scale, {}), **settings})


def training(scale, method, cur_percent, **settings):
    """-> RouterTraining. method: the fields that set a method apart; settings: more to change."""
    common = {"trajectories": TRAJECTORIES[scale], **TRAINING}
    common |= {} if method["objective"] == "mse" else LAMBDA
    if scale == "clothes":
        common |= {field: value for field, value in CLOTHES_TRAINING.items() if field in common}
    return RouterTraining(**{**common, "cur_percent": cur_percent, **method, **settings})


def ltc_form(cur_percent):
    """Learning-to-Cache's form where a table has one at each CUR: as released below half; at half
    that is FORA, and it cannot reuse more.
    """
    return "all-pairs" if cur_percent >= FORA_CUR else "released"


def searched(group, cur_percent):
    """Our rows at a CUR: a search for reuse, one for predicted features, and that one with refitted
    weights.
    """
    scale = group.scale
    rows = [
        group.made("Search", "search", cur_percent, settings=search(scale, predict=False)),
        group.made("Search + prediction", "search", cur_percent, settings=search(scale)),
    ]
    return rows if is_large(group) else [*rows, refitted(group, cur_percent)]


def is_large(group):
    """Whether evolution of masks and refitted predictions are left out for a group: each of them
    takes minutes on its model, and none is measured yet.
    """
    return group.models[0].name.startswith(LARGE)


def refitted(group, cur_percent, settings=None):
    """A search for predicted features (Settings) whose weights are refitted to the image error."""
    settings, name = settings or search(group.scale), "Search + prediction, refitted"
    return group.made(name, "refitted", cur_percent, mask=settings, settings=settings)


def fora_refitted(group, settings=None):
    """FORA's mask with the same care: its fitted predictions refitted to the image's error."""
    settings, name = settings or search(group.scale), "FORA + prediction, refitted"
    return group.made(name, "refitted", interval=2, mask=settings, settings=settings)


def evolved(group, cur_percent, settings=None, *, method="Evolution", times=1):
    """ECAD's evolution of masks, with `times` (1 or 10) the forwards that a search for reuse
    (Settings) needs at most.
    """
    settings = settings or search(group.scale, predict=False)
    forwards = times * settings.forwards(group.num_steps)
    size = dict(EVOLUTIONS[times])
    judged = replace(settings, images=min(settings.images, size.pop("images")))
    return group.made(method, "evolution", cur_percent, settings=judged, forwards=forwards, **size)
