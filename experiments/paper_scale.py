"""The rows of Table 1 with the published models: SCALE=paper. Files are given by name and hash.
Nothing is downloaded here, and only files whose hash was never published are opened, to hash them.

core: the paper's 16 rows; beside them Learning-to-Cache's published routers, HarmoniCa with its one
published beta, and our search (not the paper's) at HarmoniCa's CUR. all: FORA, fewer steps at equal
compute, and Learning-to-Cache with its published betas as well. no-images: core without the routers
of Learning-to-Cache that are trained here, the only ones that need ImageNet's training images.
"""

from dataclasses import dataclass

from harmonica.lab.makings import ModelSpec
from harmonica.method.settings import RouterTraining
from harmonica.search.settings import Settings
from harmonica.weights import published_sha256
from harmonica.weights.specs import FileSpec, ImageSpec, PublishedRouter

from .rows import Group

ROWS = ("core", "all", "no-images")  # of Table 1
GUIDANCE = 1.5  # on the model's guided channels: 3 of 4 in official numerics
VAE = "stabilityai/sd-vae-ft-ema"
HARMONICA = {"walk": "sdt", "lambda_scores": "soft", "lr": 0.01}
LEARNING_TO_CACHE = {"walk": "ltc", "ltc_form": "released", "objective": "mse", "lr": 0.001}
COMMON = {"adam_eps": 1e-8, "tau": 0.1}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many images are sampled, how long routers are trained and how schedules are searched.

    As published, an iteration is one update of one row, and SDT's 32 noises make a batch of 64
    under guidance. One GPU trains on the whole batch, several on equal parts of it.
    """

    num_images: int = 50_000
    block: int = 50  # images sampled at a time
    iterations: int = 20_000
    refresh: int = 500  # iterations between two measurements of lambda
    sdt_batch: int = 32
    ltc_batch: int = 64
    checkpoint: bool = False  # of activations: without it, batch 64 at 512 px takes over 80 GB
    search: Settings | None = Settings(batch=4)

    def group(
        self, base, num_steps, seeds, *, title="{}", sampler="ddim", guidance=GUIDANCE, **images
    ):
        """A Group on a Base. title: {} in it stands for the label. images: more of RunSpec's."""
        sampled = {"num_images": self.num_images, "batch": self.block, "images": base.images}
        return Group(
            title=title.format(base.label),
            label=base.label,
            models=(base.model,),
            seeds=seeds,
            sampler=sampler,
            num_steps=num_steps,
            guidance=guidance,
            images={**sampled, **images},
        )

    def searched(self, group, cur_percent):
        """[Row] of our search with prediction; [] where memory would not suffice for one."""
        if self.search is None:
            return []
        return [group.made("Search + prediction", "search", cur_percent, settings=self.search)]


@dataclass(frozen=True, kw_only=True)
class PaperSteps:
    """One T of the paper's table. fewer: the steps of its row with fewer steps. CURs are in
    percent; betas and router: those that were published.
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


def published_router(name, **cut):
    """A router that its authors published. cut: its tau, where that is not 0.1."""
    return PublishedRouter(name=name, sha256=published_sha256(name), **cut)


def rows_of(base, setting, budget=Budget(), rows="core", num_seeds=1):
    """All rows of one T -> [Row], each with `num_seeds` evaluation noises."""
    steps = setting.num_steps
    group = budget.group(base, steps, num_seeds)

    def learned(method, training, form="trained here", **target):
        return group.learned(method, training(budget, steps, **target), form=form)

    of_ltc = learned("Learning-to-Cache", learning_to_cache, cur_percent=setting.ltc_cur)
    table_rows = [
        group.uncached(),
        group.uncached(setting.fewer),
        *([] if rows == "no-images" else [of_ltc]),
        learned("HarmoniCa", harmonica, cur_percent=setting.harmonica_cur),
        *budget.searched(group, setting.harmonica_cur),
    ]
    if setting.published:
        router = {"schedule": "router", "published": setting.published}
        table_rows.append(group.row("Learning-to-Cache", form="published router", **router))
    if setting.harmonica_beta:  # that beta belongs to the released code's lambda
        target = {"objective": "cumulative", "beta": setting.harmonica_beta}
        table_rows.append(learned("HarmoniCa", harmonica, "published beta", **target))
    if rows == "all":
        equal = round(steps * (1 - setting.harmonica_cur / 100))
        table_rows += [group.fora(), group.uncached(equal), group.uncached(steps // 2)]
        if setting.ltc_beta:
            target = {"beta": setting.ltc_beta}
            table_rows.append(
                learned("Learning-to-Cache", learning_to_cache, "published beta", **target)
            )
    return table_rows


def learning_to_cache(budget, num_steps, **target):
    """The released form, which updates every second row. target: cur_percent, or beta."""
    return RouterTraining(
        **LEARNING_TO_CACHE,
        **COMMON,
        batch=budget.ltc_batch,
        checkpoint=budget.checkpoint,
        trajectories=max(1, 2 * budget.iterations // num_steps),
        **target,
    )


def harmonica(budget, num_steps, objective="leave-one-out", **target):
    """HarmoniCa's training. target: cur_percent, or beta."""
    return RouterTraining(
        **HARMONICA,
        **COMMON,
        objective=objective,
        batch=budget.sdt_batch,
        lambda_batch=budget.sdt_batch,
        checkpoint=budget.checkpoint,
        trajectories=max(1, budget.iterations // num_steps),
        refresh=max(1, budget.refresh // num_steps),
        **target,
    )
