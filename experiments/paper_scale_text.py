"""The rows of Table 2 with the published PixArts: SCALE=paper. Files by name and hash; nothing here
is downloaded.

core: the rows that the paper prints, FORA where it does. all: FORA in every block, and fewer steps
at HarmoniCa's compute. How the paper trained these routers is not published: SDT and IEPO as for
DiT-XL/2, beta steered to the row's CUR.
"""

from dataclasses import dataclass

from harmonica.lab.runs import RouterSpec
from harmonica.lab.specs import FileSpec, ImageSpec, ModelSpec, PromptSpec
from harmonica.method.settings import RouterTraining
from harmonica.weights import published_sha256

from .paper_scale import ADAM_EPS, HARMONICA, TAU, Base, row_of

GUIDANCE = 4.5  # on all four latent channels
CAPTIONS = "coco/captions.txt"  # 30 000 of MS-COCO's, one on each line
CLIP = "openai/clip-vit-large-patch14"  # the paper does not say which
SAMPLERS = {"dpm++": "DPM-Solver++", "iddpm": "IDDPM", "sa-solver": "SA-Solver"}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many images, and how long routers are trained; an iteration is one update of one row."""

    num_images: int = 30_000
    block: int = 10  # images sampled at a time
    iterations: int = 20_000
    refresh: int = 500  # iterations between two measurements of lambda
    batch: int = 32  # prompts; under guidance twice as many samples


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One sampler of the paper's table: T, its row of fewer steps (if any), HarmoniCa's CUR in
    percent (if known).
    """

    sampler: str
    num_steps: int
    fewer: int | None = None
    cur_percent: float | None = None
    fora: bool = False  # whether the paper prints a row of it


def base(label, name, pixels, *, decoder, embeddings):
    """A model by its hub id; `embeddings` is the folder of its text encoder's."""

    def file(name):
        return FileSpec(name=name, sha256=published_sha256(name))

    prompts = PromptSpec(
        name=CAPTIONS, sha256=published_sha256(CAPTIONS), embeddings=embeddings, pixels=pixels
    )
    return Base(
        label=label,
        model=ModelSpec(name=name, sha256=published_sha256(name), scale="paper", prompts=prompts),
        images=ImageSpec(
            decoder=file(decoder), reference=f"coco/reference-{pixels}.npz", clip=file(CLIP)
        ),
    )


def group(base, setting, budget=Budget(), rows="core", num_seeds=1):
    """All rows of one sampler -> [Row], each with `num_seeds` evaluation noises."""
    steps, method = setting.num_steps, SAMPLERS[setting.sampler]
    shared = {"model": base.model, "sampler": setting.sampler, "guidance": GUIDANCE}
    row = row_of(
        base,
        shared,
        steps,
        budget,
        num_seeds,
        group=f"{base.label}, {method}, T = {steps}",
        sampler=method,
        stochastic=setting.sampler != "dpm++",
    )
    found = [row(method)]
    if setting.fewer:
        found.append(row(method, num_steps=setting.fewer))
    if setting.fora or rows == "all":
        found.append(row("FORA", schedule="fora"))
    if setting.cur_percent:
        training = RouterTraining(
            **HARMONICA,
            objective="leave-one-out",
            adam_eps=ADAM_EPS,
            tau=TAU,
            batch=budget.batch,
            lambda_batch=budget.batch,
            trajectories=max(1, budget.iterations // steps),
            refresh=max(1, budget.refresh // steps),
            cur_percent=setting.cur_percent,
        )
        found.append(
            row(
                "HarmoniCa",
                cur=setting.cur_percent,
                form="trained here",
                schedule="router",
                router=RouterSpec(**shared, num_steps=steps, training=training),
            )
        )
        if rows == "all":
            found.append(
                row(
                    method,
                    num_steps=round(steps * (1 - setting.cur_percent / 100)),
                    form="equal compute",
                )
            )
    return found
