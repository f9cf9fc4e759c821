"""The rows of Table 1 with the published models: SCALE=paper. Files by name and hash; nothing here
is downloaded or opened but to hash files whose hash was never published.

core: the paper's 16 rows, Learning-to-Cache's published routers beside them, and HarmoniCa with its
one published beta. all: FORA, fewer steps at equal compute, and Learning-to-Cache with its
published betas as well.
"""

from dataclasses import dataclass

from harmonica.lab.runs import RouterSpec, RunSpec
from harmonica.lab.specs import FileSpec, ImageSpec, ModelSpec, PublishedRouter
from harmonica.method.settings import RouterTraining
from harmonica.weights import published_sha256

from . import Row

GUIDANCE = 1.5  # on the model's guided channels: 3 of 4 in official numerics
VAE = "stabilityai/sd-vae-ft-ema"
HARMONICA = {"walk": "sdt", "lambda_scores": "soft", "lr": 0.01}
LEARNING_TO_CACHE = {"walk": "ltc", "ltc_form": "released", "objective": "mse", "lr": 0.001}
ADAM_EPS, TAU = 1e-8, 0.1


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many images, and how long routers are trained. Published: an iteration is one update of
    one row; SDT's 32 noises make a batch of 64 under guidance. One GPU trains on the whole batch,
    several on equal parts of it.
    """

    num_images: int = 50_000
    block: int = 50  # images sampled at a time
    iterations: int = 20_000
    refresh: int = 500  # iterations between two measurements of lambda
    sdt_batch: int = 32
    ltc_batch: int = 64
    checkpoint: bool | None = (
        None  # of activations: without it, batch 64 at 512 px does not fit 80 GB
    )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One T of the paper's table: its row of fewer steps, and its two CURs in percent. beta: those
    that were published.
    """

    num_steps: int
    fewer: int
    ltc_cur: float
    harmonica_cur: float
    ltc_beta: float | None = None
    harmonica_beta: float | None = None
    published: PublishedRouter | None = None


@dataclass(frozen=True, kw_only=True)
class Base:
    """A published model with the decoder and the reference that its images need."""

    label: str
    model: ModelSpec
    images: ImageSpec


def base(label, name, reference):
    return Base(
        label=label,
        model=ModelSpec(name=name, sha256=published_sha256(name), scale="paper"),
        images=ImageSpec(
            decoder=FileSpec(name=VAE, sha256=published_sha256(VAE)), reference=reference
        ),
    )


def dit_xl2_256():
    return base("DiT-XL/2 256x256", "DiT-XL-2-256x256.pt", "VIRTUAL_imagenet256_labeled.npz")


def published_router(name):
    return PublishedRouter(name=name, sha256=published_sha256(name))


def row_of(base, shared, steps, budget, num_seeds, **named):
    """-> row(method, form, num_steps, cur, **how), which makes a Row of `num_seeds` evaluation
    noises.

    shared: what its runs and routers have in common; named: more fields of Row.
    """

    def row(method, form="", num_steps=steps, cur=None, **how):
        runs = tuple(
            RunSpec(
                **shared,
                num_steps=num_steps,
                against=steps,
                cur_percent=cur,
                seed=seed,
                images=base.images,
                num_images=budget.num_images,
                batch=budget.block,
                **how,
            )
            for seed in range(num_seeds)
        )
        return Row(
            **named,
            model=base.label,
            method=method,
            num_steps=num_steps,
            cur_percent=cur,
            form=form,
            runs=runs,
        )

    return row


def group(base, setting, budget=Budget(), rows="core", num_seeds=1):
    """All rows of one T -> [Row], each with `num_seeds` evaluation noises."""
    steps = setting.num_steps
    shared = {"model": base.model, "guidance": GUIDANCE}
    row = row_of(base, shared, steps, budget, num_seeds, group=f"{base.label}, T = {steps}")

    def trained(**training):
        return RouterSpec(
            **shared,
            num_steps=steps,
            training=RouterTraining(
                adam_eps=ADAM_EPS, tau=TAU, checkpoint=budget.checkpoint, **training
            ),
        )

    def ltc(**target):
        return trained(
            **LEARNING_TO_CACHE,
            batch=budget.ltc_batch,
            **target,
            trajectories=max(1, 2 * budget.iterations // steps),
        )  # every second row

    def harmonica(objective, **target):
        return trained(
            **HARMONICA,
            objective=objective,
            batch=budget.sdt_batch,
            lambda_batch=budget.sdt_batch,
            trajectories=max(1, budget.iterations // steps),
            refresh=max(1, budget.refresh // steps),
            **target,
        )

    found = [
        row("DDIM"),
        row("DDIM", num_steps=setting.fewer),
        row(
            "Learning-to-Cache",
            "trained here",
            cur=setting.ltc_cur,
            schedule="router",
            router=ltc(cur_percent=setting.ltc_cur),
        ),
        row(
            "HarmoniCa",
            "trained here",
            cur=setting.harmonica_cur,
            schedule="router",
            router=harmonica("leave-one-out", cur_percent=setting.harmonica_cur),
        ),
    ]
    if setting.published:
        found.append(
            row(
                "Learning-to-Cache",
                "published router",
                schedule="router",
                published=setting.published,
            )
        )
    if setting.harmonica_beta:  # that beta belongs to the released code's lambda
        found.append(
            row(
                "HarmoniCa",
                "published beta",
                schedule="router",
                router=harmonica("cumulative", beta=setting.harmonica_beta),
            )
        )
    if rows == "all":
        equal = round(steps * (1 - setting.harmonica_cur / 100))
        found += [
            row("FORA", schedule="fora"),
            row("DDIM", num_steps=equal),
            row("DDIM", num_steps=steps // 2),
        ]
        if setting.ltc_beta:
            found.append(
                row(
                    "Learning-to-Cache",
                    "published beta",
                    schedule="router",
                    router=ltc(beta=setting.ltc_beta),
                )
            )
    return found
