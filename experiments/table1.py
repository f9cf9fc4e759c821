"""The rows of Table 1 at the scales that need no GPU: one group per number of steps, every method
at equal compute.
"""

from harmonica.digits.manifest import folder, manifest
from harmonica.errors import check
from harmonica.lab.runs import RouterSpec, RunSpec
from harmonica.lab.specs import ModelSpec
from harmonica.method.settings import RouterTraining

from . import Row

FORA_CUR = 50.0
# Equal for all routers: every trainable row gets `trajectories` updates of `batch` samples. The
# released code's lr 0.01
# cannot cross tau in so few updates, and Adam's default eps is as large as these gradients.
TRAINING = {"batch": 16, "lr": 0.1, "adam_eps": 1e-12, "tau": 0.1}
TRAJECTORIES = {"digits": 100, "smoke": 2}
IEPO = {"lambda_scores": "soft", "refresh": 10, "lambda_batch": 16}
LEARNING_TO_CACHE = {"walk": "ltc", "objective": "mse"}
HARMONICA = {"walk": "sdt", "objective": "leave-one-out", **IEPO}
SAMPLING = {"digits": {"num_images": 1000, "batch": 100}, "smoke": {"num_images": 32, "batch": 16}}


def base_models(scale, prefix):
    """The base models of one kind, in the order of their seeds: name without the seed -> ModelSpec
    list.
    """
    found = {
        int(name.rsplit("-s", 1)[1]): ModelSpec(name=name, sha256=about["sha256"], scale=scale)
        for name, about in manifest().items()
        if name.rsplit("-s", 1)[0] == prefix
    }
    check(
        found,
        "base model",
        prefix,
        f"{folder()} has none; unset HARMONICA_MODELS to use the shipped ones",
    )
    return [found[seed] for seed in sorted(found)]


def group(*, scale, models, label, num_steps, cur_percents, num_seeds):
    """All rows of one group: uncached, then at each CUR fewer steps, FORA (at 50 % only), random,
    LTC, HarmoniCa.
    """
    models, noises = models[:num_seeds], range(num_seeds)

    def row(method, cur=None, form="", steps=num_steps, **how):
        runs = tuple(
            run(scale, model, noise, num_steps=steps, against=num_steps, cur_percent=cur, **how)
            for model in models
            for noise in noises
        )
        return Row(
            group=f"{label}, T = {num_steps}",
            model=label,
            method=method,
            num_steps=steps,
            cur_percent=cur,
            form=form,
            runs=runs,
        )

    rows = [row("DDIM", schedule="full")]
    for cur in cur_percents:
        form = "all-pairs" if cur >= FORA_CUR else "released"
        rows.append(row("DDIM", steps=round(num_steps * (1 - cur / 100)), schedule="full"))
        if cur == FORA_CUR:
            rows.append(row("FORA", schedule="fora"))
        rows += [
            row("random", cur, schedule="random"),
            row(
                "Learning-to-Cache",
                cur,
                form,
                schedule="router",
                ltc_form=form,
                **LEARNING_TO_CACHE,
            ),
            row("HarmoniCa", cur, schedule="router", **HARMONICA),
        ]
    return rows


def run(
    scale,
    model,
    noise,
    *,
    num_steps,
    against,
    schedule,
    cur_percent,
    sampler="ddim",
    guidance=1.0,
    **training,
):
    """One run, its router trained as `training` and TRAINING say."""
    router = None
    if training:
        router = RouterSpec(
            model=model,
            sampler=sampler,
            num_steps=num_steps,
            guidance=guidance,
            training=RouterTraining(
                cur_percent=cur_percent, trajectories=TRAJECTORIES[scale], **TRAINING, **training
            ),
        )
    return RunSpec(
        model=model,
        sampler=sampler,
        num_steps=num_steps,
        guidance=guidance,
        against=against,
        schedule=schedule,
        cur_percent=cur_percent,
        router=router,
        seed=noise,
        **SAMPLING[scale],
    )
