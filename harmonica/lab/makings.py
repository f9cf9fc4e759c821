"""What runs are made from, as data: base models (perhaps compressed), trained routers, and
schedules that are made without a router of their own. Imports no torch.

Frozen, keyword-only, with range checks. Compressed models, routers and schedules are artefacts, as
runs are: each has an `id` (ids.py), and `needs()` lists the artefacts that must be made before it.
"""

from dataclasses import dataclass, replace

from harmonica.compress.settings import Pruning, Quantisation
from harmonica.errors import check
from harmonica.lab import ids
from harmonica.method.settings import RouterTraining
from harmonica.search.settings import Settings
from harmonica.weights.specs import PromptSpec

SCALES = ("smoke", "digits", "clothes", "paper")
SAMPLERS = {  # names in specs, and in words
    "ddim": "DDIM",
    "ddim-diffusers": "DDIM",
    "dpm++": "DPM-Solver++",
    "iddpm": "IDDPM",
    "sa-solver": "SA-Solver",
    "dpm-singlestep": "DPM-Solver",
    "dpm++-pixart": "DPM-Solver++",
    "sa-solver-pixart": "SA-Solver",
}
MAKINGS = ("search", "fitted", "taylor", "refitted", "smoothcache", "evolution")
TAKE_A_MASK = ("fitted", "taylor")  # another method's, and predict what it skips


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A base model: its weights by name and sha256. numerics: official (the default) or diffusers.

    At paper scale the name is that of a file, folder or hub id (see weights). heads: the number of
    attention heads, for an official file whose width is that of no published DiT. prompts: what a
    text-to-image model is conditioned on. compression: how the model was compressed.
    """

    name: str
    sha256: str
    scale: str
    numerics: str | None = None
    heads: int | None = None
    prompts: PromptSpec | None = None
    compression: Quantisation | Pruning | None = None

    def __post_init__(self):
        check_choice(self, "scale", SCALES)
        check_choice(self, "numerics", ("official", "diffusers"), optional=True)

    @property
    def label(self):
        """The name; for a compressed model followed by its compression."""
        return f"{self.name}-{self.compression.label}" if self.compression else self.name

    @property
    def original(self):
        """The model before compression."""
        return replace(self, compression=None)

    def needs(self):
        return [CompressedSpec(model=self)] if self.compression else []


@dataclass(frozen=True, kw_only=True)
class CompressedSpec:
    """A compressed model as an artefact: its ModelSpec says how it is compressed."""

    model: ModelSpec

    kind = "compressed"

    @property
    def id(self):
        return ids.make_id(self, self.model.label)

    def needs(self):
        return []


@dataclass(frozen=True, kw_only=True)
class RouterSpec:
    """A router to be trained: for this model, sampler and number of steps."""

    model: ModelSpec
    sampler: str = "ddim"
    num_steps: int
    guidance: float = 1.0
    training: RouterTraining

    kind = "router"

    def __post_init__(self):
        check_sampling(self, least=2)
        if self.training.cur_percent is not None:
            check_cur(self.training.cur_percent, self.num_steps)

    @property
    def id(self):
        slug = f"{self.model.label}-t{self.num_steps}-{self.training.method}"
        return ids.make_id(self, slug + ids.cur(self.training.cur_percent))

    def needs(self):
        return self.model.needs()


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """A schedule for this model, sampler and number of steps that is not simply a router's.

    making search minimises the image error; exactly cur_percent of the entries are skipped, or with
    `by_macs` that share of the blocks' multiply-accumulates. smoothcache and evolution also skip
    cur_percent. fitted and taylor take a mask and predict the skipped entries: FORA's mask at
    `interval`, another schedule's (`mask`) or, fitted alone, a router's at cur_percent. fitted fits
    the weights, taylor has those of Taylor's formula of `order`. refitted takes another schedule
    with its predictions (`mask`) and refits the weights to the image error; its cur_percent and
    interval are that schedule's.
    settings: how much making it may compute, whether a search predicts skipped blocks, its seed.
    forwards, population: the budget of an evolution, in forwards of one image, and how many masks
    live in it (by default 8). conds: a search sees only the first so many classes or captions.
    """

    model: ModelSpec
    sampler: str = "ddim"
    num_steps: int
    guidance: float = 1.0
    making: str
    cur_percent: float | None = None
    by_macs: bool = False
    interval: int | None = None
    order: int | None = None
    router: RouterSpec | None = None
    mask: "ScheduleSpec | None" = None
    forwards: int | None = None
    population: int | None = None
    conds: int | None = None
    settings: Settings

    kind = "schedule"

    def __post_init__(self):
        check_sampling(self, least=2)
        check_choice(self, "making", MAKINGS)
        needed_of = {
            "interval": self.of_fora,
            "order": self.making == "taylor",
            "forwards": self.making == "evolution",
            "cur_percent": not self.of_fora,
        }
        for field, needed in needed_of.items():
            value, right = getattr(self, field), "is needed" if needed else "is not taken"
            check(
                (value is not None) == needed, field, value, f"{self.making} of this kind: {right}"
            )
        check(
            self.router is None or self.making == "fitted",
            "router",
            self.router,
            "only fitted takes one",
        )
        right = f"only {' and '.join(TAKE_A_MASK)} take one, without a router"
        takes = self.making in (*TAKE_A_MASK, "refitted")
        check(self.mask is None or takes and self.router is None, "mask", self.mask, right)
        if self.making == "refitted":
            right = "refitted takes a schedule that predicts"
            check(self.mask is not None and self.mask.predicts, "mask", self.mask, right)
            for field in ("model", "sampler", "num_steps", "guidance", "cur_percent", "interval"):
                value, right = getattr(self, field), f"it must be the mask's: {self.mask.id}"
                check(value == getattr(self.mask, field), field, value, right)
        right = "only a search sees fewer than all"
        check(self.conds is None or self.making == "search", "conds", self.conds, right)
        if self.cur_percent is not None:
            check_cur(self.cur_percent, self.num_steps)

    @property
    def of_fora(self):
        """Whether the mask is FORA's."""
        if self.making == "refitted":
            return self.mask is not None and self.mask.of_fora
        return self.making in TAKE_A_MASK and self.router is None and self.mask is None

    @property
    def predicts(self):
        """Whether skipped entries are predicted, not reused."""
        searched = self.making == "search" and self.settings.predict
        return searched or self.making in (*TAKE_A_MASK, "refitted")

    @property
    def method(self):
        """How the schedule is made, as part of the id."""
        base = f"fora{self.interval}" if self.interval and not self.mask else ""
        base += self.router.training.method if self.router else ""
        base += self.mask.method if self.mask else ""
        making = f"taylor{self.order}" if self.order else self.making
        predicted = "-predicted" * (self.making == "search" and self.settings.predict)
        return f"{base}-{making}".strip("-") + predicted + "-macs" * self.by_macs

    @property
    def id(self):
        slug = f"{self.model.label}-t{self.num_steps}-{self.method}{ids.cur(self.cur_percent)}"
        return ids.make_id(self, slug)

    def needs(self):
        return self.model.needs() + [need for need in (self.router, self.mask) if need]


def check_choice(spec, field, choices, optional=False):
    value, right = getattr(spec, field), f"choose one of {', '.join(choices)}"
    if not (optional and value is None):
        check(value in choices, field, value, right + (", or leave it out" if optional else ""))


def check_cur(percent, num_steps):
    max_percent = 100 * (num_steps - 1) / num_steps
    check(
        0 <= percent <= max_percent,
        "cur_percent",
        percent,
        f"with T = {num_steps} it lies in 0..{max_percent:g}",
    )


def check_sampling(artefact, least=1):
    """least: the fewest steps; 2 where something is reused, as the first computes all."""
    check_choice(artefact, "sampler", SAMPLERS)
    right = f"it must be at least {least}" + ", as the first computes all" * (least > 1)
    check(artefact.num_steps >= least, "num_steps", artefact.num_steps, right)
    check(artefact.guidance >= 1, "guidance", artefact.guidance, "it must be at least 1 (1 = none)")
