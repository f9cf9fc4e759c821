"""What a router and a run are: frozen data with an id, and what each needs before it can be made.
Imports no torch.

The id is a readable slug and 8 hex digits of a hash over the canonical config. Weights enter by
hash, never by path; where and in how many shards something is computed does not enter at all.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from itertools import groupby

from harmonica.errors import check
from harmonica.lab.specs import ImageSpec, ModelSpec, PublishedRouter
from harmonica.method.settings import RouterTraining

SCHEMA = 1
SAMPLERS = ("ddim", "ddim-diffusers", "dpm++", "iddpm", "sa-solver")
SCHEDULES = ("full", "fora", "random", "router")
PRECISIONS = (
    "tf32",
    "bfloat16",
)  # beside float32, which is what an artefact without one computes in


@dataclass(frozen=True, kw_only=True)
class RouterSpec:
    """A router to be trained: for this model, sampler and number of steps."""

    model: ModelSpec
    sampler: str = "ddim"
    num_steps: int
    guidance: float = 1.0
    training: RouterTraining

    def __post_init__(self):
        _check_sampling(self)
        if self.training.cur_percent is not None:
            _check_cur(self.training.cur_percent, self.num_steps)

    kind = "router"

    @property
    def id(self):
        return _id(
            self,
            f"{self.model.name}-t{self.num_steps}-{self.training.method}"
            + _cur(self.training.cur_percent),
        )

    def needs(self):
        return []


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A set of images of one model under one schedule, and its metrics.

    schedule: full | fora (at `interval`, 2 where not given: CUR 50 % at even T) | random | router
    (trained here, or published). cur_percent: the reused share, met exactly; a published router,
    and one trained with a given beta, may go without: then its scores over tau decide. noise:
    "evaluation", or "reference" for the independent images that rFID compares with. against: the
    number of steps of the uncached run that x_0 error, rFID and speedup refer to. images: at paper
    scale. precision: tf32, bfloat16; by default float32. backend: compile | cudagraph (plan.py),
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
    images: ImageSpec | None = None
    precision: str | None = None
    backend: str | None = None
    reuse_last_step: bool | None = None
    transferred: bool | None = None

    def __post_init__(self):
        _check_sampling(self)
        check(
            self.precision in (None, *PRECISIONS),
            "precision",
            self.precision,
            f"choose one of {', '.join(PRECISIONS)}",
        )
        check(
            self.schedule in SCHEDULES,
            "schedule",
            self.schedule,
            f"choose one of {', '.join(SCHEDULES)}",
        )
        check(
            (self.schedule == "router") == ((self.router is None) != (self.published is None)),
            "router",
            self.router,
            "schedule 'router' needs one, trained or published, and no other schedule takes one",
        )
        check(
            self.schedule == "router" or not self.published,
            "published",
            self.published,
            "only schedule 'router' takes one",
        )
        check(
            self.interval is None or (self.schedule == "fora" and self.interval >= 3),
            "interval",
            self.interval,
            "only fora takes one, 3 or more; without one its interval is 2",
        )
        given = self.cur_percent is not None
        free = self.router is not None and self.router.training.beta is not None
        check(
            free or given == (self.schedule == "random" or self.router is not None),
            "cur_percent",
            self.cur_percent,
            "random schedules and routers steered to one need one, and no other schedule takes one",
        )
        if self.cur_percent is not None:
            _check_cur(self.cur_percent, self.num_steps)
        for field in ("reuse_last_step", "transferred"):
            check(
                getattr(self, field) is None or (getattr(self, field) is True and self.router),
                field,
                getattr(self, field),
                "it is True, with a router, or left out",
            )
        check(
            not self.reuse_last_step or (self.cur_percent or 0) * self.num_steps >= 100,
            "reuse_last_step",
            True,
            f"the last step alone is a CUR of {100 / self.num_steps:g} %",
        )
        if self.router is not None:
            own = (
                ("num_steps", "guidance")
                if self.transferred
                else ("model", "sampler", "num_steps", "guidance")
            )
            for field in own:
                check(
                    getattr(self.router, field) == getattr(self, field),
                    f"router's {field}",
                    getattr(self.router, field),
                    f"the run has {getattr(self, field)!r}",
                )
            check(
                not self.transferred
                or (self.router.model, self.router.sampler) != (self.model, self.sampler),
                "transferred",
                True,
                "the router was trained for this very model and sampler",
            )
        check(
            self.backend in (None, "compile", "cudagraph"),
            "backend",
            self.backend,
            "choose compile or cudagraph, or leave it out",
        )
        for field in ("num_images", "batch", "against"):
            check(getattr(self, field) >= 1, field, getattr(self, field), "it must be at least 1")

    kind = "run"

    @property
    def id(self):
        method = (
            self.router.training.method
            if self.router
            else "published"
            if self.published
            else f"{self.schedule}{self.interval or ''}"
        )
        steps = f"t{self.num_steps}" + (
            f"of{self.against}" if self.num_steps != self.against else ""
        )
        how = "-last-reused" * bool(self.reuse_last_step) + "-transferred" * bool(self.transferred)
        return _id(
            self,
            f"{self.model.name}-{steps}-{method}{_cur(self.cur_percent)}{how}-{self.noise[0]}{self.seed}",
        )

    def baseline(self):
        """The uncached run from the same noise."""
        return replace(
            self,
            schedule="full",
            interval=None,
            cur_percent=None,
            router=None,
            published=None,
            num_steps=self.against,
            reuse_last_step=None,
            transferred=None,
        )

    def reference(self):
        """The uncached run from independent noise."""
        return replace(self.baseline(), noise="reference", seed=0)

    def needs(self):
        if self.noise == "reference":
            return []
        others = ([] if self.images else [self.reference()]) + (
            [self.router] if self.router else []
        )
        return others + ([] if self == self.baseline() else [self.baseline()])


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
        return _id(self, f"{_words(self.group)}-latency")

    def needs(self):
        return [run.router for run in self.runs if run.router]


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
        return _id(self, f"{_words(self.group)}-training")

    def needs(self):
        return []


def latency_specs(rows):
    """One LatencySpec per group of rows (anything with .group and .runs, a group's rows in
    sequence): first run of each.
    """
    return [
        LatencySpec(group=group, runs=tuple(row.runs[0] for row in own))
        for group, own in groupby(rows, key=lambda row: row.group)
    ]


def with_needs(artefacts):
    """All artefacts that the given ones rest on and themselves, once each, needs first."""
    ordered = {}

    def visit(artefact):
        for need in artefact.needs():
            visit(need)
        ordered.setdefault(artefact.id, artefact)

    for artefact in artefacts:
        visit(artefact)
    return list(ordered.values())


def canonical(artefact):
    """The resolved config as JSON text: sorted keys, no spaces, options that are not used (None)
    left out.
    """
    config = asdict(artefact)
    if artefact.kind == "latency":
        config["runs"] = [run.id for run in artefact.runs]
    if artefact.kind == "training":
        config["rows"] = [[method, router.id] for method, router in artefact.rows]
    return json.dumps(_used(config), sort_keys=True, separators=(",", ":"))


def _used(config):
    return {
        key: _used(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if value is not None
    }


def _id(artefact, slug):
    slug = re.sub(r"[^a-z0-9.-]+", "-", slug.lower())  # hub ids have slashes
    return f"{slug}-{hashlib.sha256(canonical(artefact).encode()).hexdigest()[:8]}"


def _words(group):
    return re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")


def _cur(percent):
    return "" if percent is None else f"-cur{percent:g}"


def _check_cur(percent, num_steps):
    most = 100 * (num_steps - 1) / num_steps
    check(
        0 <= percent <= most, "cur_percent", percent, f"with T = {num_steps} it lies in 0..{most:g}"
    )


def _check_sampling(artefact):
    check(
        artefact.sampler in SAMPLERS,
        "sampler",
        artefact.sampler,
        f"choose one of {', '.join(SAMPLERS)}",
    )
    check(artefact.num_steps >= 1, "num_steps", artefact.num_steps, "it must be at least 1")
    check(artefact.guidance >= 1, "guidance", artefact.guidance, "it must be at least 1 (1 = none)")
