"""What is measured, as data: runs, latencies and costs of training. Imports no torch.

Frozen, keyword-only, with range checks. Each artefact has an `id` (ids.py), and `needs()` lists the
artefacts that must be made before it; makings.py has the base models, routers and schedules that
runs are made from.
"""

from dataclasses import dataclass, replace

from harmonica.errors import check
from harmonica.lab import ids
from harmonica.lab.makings import (
    ModelSpec,
    RouterSpec,
    ScheduleSpec,
    check_choice,
    check_cur,
    check_sampling,
)
from harmonica.weights.specs import ImageSpec, PublishedRouter

SCHEDULES = ("full", "fora", "faster-diffusion", "deepcache", "random", "router", "made")
# besides float32, the default
PRECISIONS = ("tf32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A set of images of one model under one schedule, and its metrics.

    schedule: full | fora (at `interval`, by default 2: CUR 50 % at even T) | faster-diffusion or
    deepcache (of a U-ViT) | random | router (trained here, or `published`) | made (see
    ScheduleSpec, which has the CUR).
    cur_percent: the reused share, met exactly. Without it, which is possible for a published router
    and one trained with a given beta, the entries whose scores exceed tau are computed.
    noise: "evaluation", or "reference" for the independent images that rFID compares with.
    against: the number of steps of the uncached run that x_0 error, rFID and speedup refer to.
    images: at paper scale, what decodes latents and judges images.
    precision: one of PRECISIONS, by default float32.
    reuse_last_step: the last step reuses every block whatever the router says, and the rest of the
    CUR is spent on the steps before.
    transferred: the router was trained for another model or sampler, or the schedule made for
    another model, sampler or guidance.
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
    reuse_last_step: bool = False
    transferred: bool = False

    kind = "run"

    def __post_init__(self):
        check_sampling(self)
        check_choice(self, "schedule", SCHEDULES)
        check_choice(self, "noise", ("evaluation", "reference"))
        check_choice(self, "precision", PRECISIONS, optional=True)
        for field in ("num_images", "batch", "against"):
            check(getattr(self, field) >= 1, field, getattr(self, field), "it must be at least 1")
        self._check_schedule()
        if self.router is not None:
            self._check_source("router", ("num_steps", "guidance"), ("model", "sampler"))
        right = "schedule 'made' needs a ScheduleSpec, and no other schedule takes one"
        check((self.schedule == "made") == (self.made is not None), "made", self.made, right)
        if self.made is not None:
            self._check_source("made", ("num_steps",), ("model", "sampler", "guidance"))

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
            "only fora takes one, 3 or more; without one it is 2",
        )
        fixed_beta = self.router is not None and self.router.training.beta is not None
        needed = self.schedule == "random" or self.router is not None
        check(
            fixed_beta or (self.cur_percent is not None) == needed,
            "cur_percent",
            self.cur_percent,
            "random schedules and routers steered to one need one, and no other schedule takes one",
        )
        if self.cur_percent is not None:
            check_cur(self.cur_percent, self.num_steps)
        for field in ("reuse_last_step", "transferred"):
            value = getattr(self, field)
            source = self.router if field == "reuse_last_step" else self.router or self.made
            right = (
                "it is True or False, and True only with a router (or a made schedule, transferred)"
            )
            check(value is False or value is True and source is not None, field, value, right)
        check(
            not self.reuse_last_step or (self.cur_percent or 0) * self.num_steps >= 100,
            "reuse_last_step",
            True,
            f"the last step alone is a CUR of {100 / self.num_steps:g} %",
        )

    def _check_source(self, source, always, if_not_transferred):
        """source: "router" or "made". always, if_not_transferred: the fields in which it must be as
        the run is; a transferred one differs in one of the latter.
        """
        made = getattr(self, source)
        for field in (*always, *(() if self.transferred else if_not_transferred)):
            value, right = getattr(made, field), f"the run has {getattr(self, field)!r}"
            check(value == getattr(self, field), f"{source}'s {field}", value, right)
        same = all(getattr(made, field) == getattr(self, field) for field in if_not_transferred)
        right = f"leave it out: `{source}` was made for this very {', '.join(if_not_transferred)}"
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
        suffix = "-last-reused" * self.reuse_last_step + "-transferred" * self.transferred
        slug = f"{self.model.label}-t{self.num_steps}{fewer}-{method}{ids.cur(self.cur_percent)}"
        return ids.make_id(self, f"{slug}{suffix}-{self.noise[0]}{self.seed}")

    def baseline(self):
        """The uncached run from the same noise, by the model before compression."""
        return replace(
            self,
            model=self.model.original,
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
        sources = [spec for spec in (self.router, self.made) if spec]
        return independent + self.model.needs() + sources + uncached


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
        return ids.make_id(self, f"{ids.slug_of(self.group)}-latency")

    def needs(self):
        sources = [spec for run in self.runs for spec in (run.router, run.made) if spec]
        return [need for run in self.runs for need in run.model.needs()] + sources


@dataclass(frozen=True, kw_only=True)
class TrainingCostSpec:
    """What training routers takes, measured side by side. rows: pairs (method, its router).
    whole_memory: memory is the peak of all live tensors, not what autograd keeps for an update. On
    a GPU it is the peak of what is allocated, with and without it.
    """

    group: str
    rows: tuple[tuple[str, RouterSpec], ...]
    repeats: int = 5
    whole_memory: bool = False

    kind = "training"

    @property
    def model(self):
        return self.rows[0][1].model

    @property
    def id(self):
        return ids.make_id(self, f"{ids.slug_of(self.group)}-training")

    def needs(self):
        return []
