"""What is made, as data: routers, runs, latencies and costs of training, and the base model behind
each. Imports no torch.

Frozen, keyword-only, with range checks. Each artefact has an `id` (ids.py) and says what it
`needs()` to be there before it is made.
"""

from dataclasses import dataclass, replace

from harmonica.errors import check
from harmonica.lab import ids
from harmonica.method.settings import RouterTraining
from harmonica.search.settings import Settings
from harmonica.weights.specs import ImageSpec, PromptSpec, PublishedRouter

SCALES = ("smoke", "digits", "paper")
SAMPLERS = ("ddim", "ddim-diffusers", "dpm++", "iddpm", "sa-solver")
SCHEDULES = ("full", "fora", "random", "router", "made")
MAKINGS = ("search", "fitted", "taylor", "smoothcache", "evolution")
PRECISIONS = ("tf32", "bfloat16")  # beside float32, which is meant where none is given
BACKENDS = ("compile", "cudagraph")  # beside eager


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A base model: its weights by name and sha256. numerics: official (also where not given) or
    diffusers.

    At paper scale the name is that of a file, folder or hub id (see weights). heads: of an official
    file whose width no published DiT has. prompts: what a text-to-image model is conditioned on.
    """

    name: str
    sha256: str
    scale: str
    numerics: str | None = None
    heads: int | None = None
    prompts: PromptSpec | None = None

    def __post_init__(self):
        _check_choice(self, "scale", SCALES)
        _check_choice(self, "numerics", ("official", "diffusers"), optional=True)


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
        _check_sampling(self)
        if self.training.cur_percent is not None:
            _check_cur(self.training.cur_percent, self.num_steps)

    @property
    def id(self):
        slug = f"{self.model.name}-t{self.num_steps}-{self.training.method}"
        return ids.make_id(self, slug + ids.cur(self.training.cur_percent))

    def needs(self):
        return []


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """A schedule that is made for this model, sampler and number of steps in another way than by
    training a router.

    making: search (by the image error, of exactly cur_percent skipped entries; with `by_macs` of so
    many per cent of the blocks' multiply-accumulates), smoothcache or evolution (of cur_percent);
    fitted: FORA's mask at `interval`, or a router's at cur_percent, skipped entries predicted by
    fitted weights; taylor: FORA's mask at `interval`, predicted by Taylor's formula of `order`.
    settings: how much is spent on it, whether a search is for predictions, and its seed. forwards:
    that an evolution may spend, in forwards of one image.
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
    forwards: int | None = None
    settings: Settings

    kind = "schedule"

    def __post_init__(self):
        _check_sampling(self)
        _check_choice(self, "making", MAKINGS)
        of_fora = self.making == "taylor" or self.making == "fitted" and self.router is None
        takes = {
            "interval": of_fora,
            "order": self.making == "taylor",
            "forwards": self.making == "evolution",
            "cur_percent": not of_fora,
        }
        for field, needed in takes.items():
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
        if self.cur_percent is not None:
            _check_cur(self.cur_percent, self.num_steps)

    @property
    def method(self):
        """The making as part of a slug."""
        base = f"fora{self.interval}" if self.interval else ""
        base += self.router.training.method if self.router else ""
        own = f"taylor{self.order}" if self.order else self.making
        predicted = "-predicted" * (self.making == "search" and self.settings.predict)
        return f"{base}-{own}".strip("-") + predicted + "-macs" * self.by_macs

    @property
    def id(self):
        slug = f"{self.model.name}-t{self.num_steps}-{self.method}{ids.cur(self.cur_percent)}"
        return ids.make_id(self, slug)

    def needs(self):
        return [self.router] if self.router else []


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A set of images of one model under one schedule, and its metrics.

    schedule: full | fora (at `interval`, 2 where not given: CUR 50 % at even T) | random | router
    (trained here, or published) | made (as a ScheduleSpec says, which has the CUR). cur_percent: the reused share, met exactly; a published router,
    and one trained with a given beta, may go without: then its scores over tau decide. noise:
    "evaluation", or "reference" for the independent images that rFID compares with. against: the
    number of steps of the uncached run that x_0 error, rFID and speedup refer to. images: at paper
    scale. precision: tf32, bfloat16; by default float32. backend: compile | cudagraph (fast/plan),
    eager where not given. reuse_last_step: whatever the router says, the last step reuses every
    block, and what is left of the CUR is spent on the steps before. transferred: the router was
    trained for another model or sampler.
    """

    model: ModelSpec
    sampler: str = "ddim"
    num_steps: int
    guidance: float = 1.0
    schedule: str = "full"
    interval: int | None = None
    cur_percent: float | None = None
    router: RouterSpec | None = None
    noise: str = "evaluation"
    seed: int = 0
    num_images: int
    batch: int = 100
    against: int
    published: PublishedRouter | None = None
    made: ScheduleSpec | None = None
    images: ImageSpec | None = None
    precision: str | None = None
    backend: str | None = None
    reuse_last_step: bool = False
    transferred: bool = False

    kind = "run"

    def __post_init__(self):
        _check_sampling(self)
        _check_choice(self, "schedule", SCHEDULES)
        _check_choice(self, "noise", ("evaluation", "reference"))
        _check_choice(self, "precision", PRECISIONS, optional=True)
        _check_choice(self, "backend", BACKENDS, optional=True)
        for field in ("num_images", "batch", "against"):
            check(getattr(self, field) >= 1, field, getattr(self, field), "it must be at least 1")
        self._check_schedule()
        if self.router is not None:
            self._check_router()
        right = "schedule 'made' needs a ScheduleSpec, and no other schedule takes one"
        check((self.schedule == "made") == (self.made is not None), "made", self.made, right)
        if self.made is not None:
            for field in ("model", "sampler", "num_steps", "guidance"):
                own, theirs = getattr(self, field), getattr(self.made, field)
                check(theirs == own, f"made's {field}", theirs, f"the run has {own!r}")

    def _check_schedule(self):
        routed = self.schedule == "router"
        check(
            routed == ((self.router is None) != (self.published is None))
            and (routed or self.published is None),
            "router",
            self.router or self.published,
            "schedule 'router' needs one, trained or published, and no other schedule takes one",
        )
        check(
            self.interval is None or self.schedule == "fora" and self.interval >= 3,
            "interval",
            self.interval,
            "only fora takes one, 3 or more; without one its interval is 2",
        )
        free = self.router is not None and self.router.training.beta is not None
        needed = self.schedule == "random" or self.router is not None
        check(
            free or (self.cur_percent is not None) == needed,
            "cur_percent",
            self.cur_percent,
            "random schedules and routers steered to one need one, and no other schedule takes one",
        )
        if self.cur_percent is not None:
            _check_cur(self.cur_percent, self.num_steps)
        for field in ("reuse_last_step", "transferred"):
            value = getattr(self, field)
            right = "it is True or False, and True with a router only"
            check(value is False or value is True and self.router is not None, field, value, right)
        check(
            not self.reuse_last_step or (self.cur_percent or 0) * self.num_steps >= 100,
            "reuse_last_step",
            True,
            f"the last step alone is a CUR of {100 / self.num_steps:g} %",
        )

    def _check_router(self):
        alike = ("num_steps", "guidance") + (() if self.transferred else ("model", "sampler"))
        for field in alike:
            check(
                getattr(self.router, field) == getattr(self, field),
                f"router's {field}",
                getattr(self.router, field),
                f"the run has {getattr(self, field)!r}",
            )
        same = (self.router.model, self.router.sampler) == (self.model, self.sampler)
        right = "the router was trained for this very model and sampler"
        check(not (self.transferred and same), "transferred", True, right)

    @property
    def id(self):
        method = f"{self.schedule}{self.interval or ''}"
        if self.router:
            method = self.router.training.method
        if self.published:
            method = "published"
        if self.made:
            method = self.made.method + ids.cur(self.made.cur_percent)
        fewer = f"of{self.against}" if self.num_steps != self.against else ""
        how = "-last-reused" * self.reuse_last_step + "-transferred" * self.transferred
        slug = f"{self.model.name}-t{self.num_steps}{fewer}-{method}{ids.cur(self.cur_percent)}"
        return ids.make_id(self, f"{slug}{how}-{self.noise[0]}{self.seed}")

    def baseline(self):
        """The uncached run from the same noise."""
        return replace(
            self,
            schedule="full",
            interval=None,
            cur_percent=None,
            router=None,
            published=None,
            made=None,
            num_steps=self.against,
            reuse_last_step=False,
            transferred=False,
        )

    def reference(self):
        """The uncached run from independent noise."""
        return replace(self.baseline(), noise="reference", seed=0)

    def needs(self):
        if self.noise == "reference":
            return []
        independent = [] if self.images else [self.reference()]
        uncached = [] if self == self.baseline() else [self.baseline()]
        own = [spec for spec in (self.router, self.made) if spec]
        return independent + own + uncached


@dataclass(frozen=True, kw_only=True)
class LatencySpec:
    """Latencies of one group of runs, measured side by side: the first run is the uncached one."""

    group: str
    runs: tuple[RunSpec, ...]
    batch: int = 16
    repeats: int = 15

    kind = "latency"

    @property
    def model(self):
        return self.runs[0].model

    @property
    def id(self):
        return ids.make_id(self, f"{ids.words(self.group)}-latency")

    def needs(self):
        return [spec for run in self.runs for spec in (run.router, run.made) if spec]


@dataclass(frozen=True, kw_only=True)
class TrainingCostSpec:
    """What training of routers takes, measured side by side. rows: (method, its router) pairs."""

    group: str
    rows: tuple[tuple[str, RouterSpec], ...]
    repeats: int = 5

    kind = "training"

    @property
    def model(self):
        return self.rows[0][1].model

    @property
    def id(self):
        return ids.make_id(self, f"{ids.words(self.group)}-training")

    def needs(self):
        return []


def _check_choice(spec, field, known, optional=False):
    value, right = getattr(spec, field), f"choose one of {', '.join(known)}"
    if not (optional and value is None):
        check(value in known, field, value, right + (", or leave it out" if optional else ""))


def _check_cur(percent, num_steps):
    most = 100 * (num_steps - 1) / num_steps
    check(
        0 <= percent <= most, "cur_percent", percent, f"with T = {num_steps} it lies in 0..{most:g}"
    )


def _check_sampling(artefact):
    _check_choice(artefact, "sampler", SAMPLERS)
    check(artefact.num_steps >= 1, "num_steps", artefact.num_steps, "it must be at least 1")
    check(artefact.guidance >= 1, "guidance", artefact.guidance, "it must be at least 1 (1 = none)")
