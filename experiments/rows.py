"""A row of a table with the runs behind it, and how all experiments build theirs."""

from dataclasses import dataclass, replace
from itertools import groupby

from harmonica.digits.manifest import what_adds
from harmonica.errors import check
from harmonica.lab.estimates import tokens
from harmonica.lab.makings import SAMPLERS, ModelSpec, RouterSpec, ScheduleSpec
from harmonica.lab.specs import LatencySpec, RunSpec
from harmonica.search.settings import Settings

# those that every experiment has, and one that only some have in ROWS of their own
ROWS = ("core", "all", "no-images")
ROWS_IN_WORDS = (
    "the main rows, or all; no-images: those of Table 1 at paper scale that need no training "
    "images; default %(default)s"
)
SCALES_IN_WORDS = "which models and data (docs/yours.md); default %(default)s"
STOCHASTIC = ("iddpm", "sa-solver", "sa-solver-pixart")
# forms of rows of fewer steps
PAPERS_STEPS, CURS_STEPS, EQUAL_STEPS = "the paper's number", "T (1 - CUR)", "nearly equal compute"


def sets_of(config):
    """The names of an experiment's sets of rows, by its config.py."""
    return getattr(config, "ROWS", ROWS[:2])


def rows_in(config, scale, which, num_seeds=1):
    """[Row] of an experiment. BadInput where it has no such set of rows."""
    sets, experiment = sets_of(config), config.__name__.split(".")[-2]
    check(which in sets, "rows", which, f"{experiment} has {', '.join(sets)}")
    right = "the small scales ship their images; it goes with SCALE=paper"
    check(which != "no-images" or scale == "paper", "rows", which, right)
    return config.table(scale, which, num_seeds)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table: a method at one setting, and the runs that are averaged in it.

    group: rows of one group share an uncached model. runs: one for each replicate. form: which of a
    method's forms this is, where it has several. sampler: its name, which is also the method of
    rows that cache nothing. stochastic: whether the sampler draws noise at each step, so that a run
    with fewer steps is another realisation.
    """

    group: str
    model: str
    method: str
    num_steps: int
    cur_percent: float | None
    form: str = ""
    sampler: str = "DDIM"
    stochastic: bool = False
    runs: tuple[RunSpec, ...]

    @property
    def uncached(self):
        """Whether every block is computed, in all steps or in fewer."""
        return self.method == self.sampler

    @property
    def timed(self):
        """Whether latency can be measured: not where lower precision is only simulated."""
        compression = self.runs[0].model.compression
        return compression is None or compression.timed


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that share an uncached model: one sampler at one number of steps.

    A seed is a whole replicate: base model n, router or search seed n, evaluation noise n.

    title: the group's name without its T. label: the model's name. models: all base models; at
    paper and smoke scale a single one serves every replicate. seeds: how many replicates are run.
    images: how many, in which batches, and at paper scale what decodes and judges them (fields of
    RunSpec).
    """

    title: str
    label: str
    models: tuple[ModelSpec, ...]
    seeds: int
    sampler: str = "ddim"
    num_steps: int
    guidance: float = 1.0
    images: dict

    def __post_init__(self):
        more = self.seeds - len(self.models)
        if more <= 0 or self.scale in ("paper", "smoke"):  # there one model serves every replicate
            return
        there = f"of base models like {self.models[0].name} there are {len(self.models)}"
        right = f"{there}; {what_adds(self.models[-1].name, self.scale, more)}"
        check(False, "seeds", self.seeds, right)

    @property
    def scale(self):
        return self.models[0].scale

    def model(self, replicate=0):
        """The base model of a replicate; after the last model comes the first."""
        return self.models[replicate % len(self.models)]

    def uncached(self, num_steps=None, form=""):
        """A row in which every block is computed, perhaps in fewer steps."""
        return self.row(SAMPLERS[self.sampler], num_steps=num_steps, form=form)

    def fora(self, interval=2):
        if interval == 2:
            return self.row("FORA", schedule="fora")
        return self.row(f"FORA, interval {interval}", schedule="fora", interval=interval)

    def learned(self, method, training, *, form="", of=0, sampler=None, reuse_last_step=False):
        """A row of routers trained as a RouterTraining says, one for each replicate.

        of: replicate n uses the router of replicate n + of. sampler: the one that the router is
        trained for, where it is not the group's.
        """
        routers = [self.router(training, seed, sampler) for seed in self._seeds(of)]
        return self.row(
            method,
            training.cur_percent,
            form=form,
            routers=routers,
            schedule="router",
            reuse_last_step=reuse_last_step,
            transferred=bool(of or sampler),
        )

    def router(self, training, replicate=0, sampler=None):
        return RouterSpec(
            model=self.model(replicate),
            sampler=sampler or self.sampler,
            num_steps=self.num_steps,
            guidance=self.guidance,
            training=replace(training, seed=training.seed + replicate),
        )

    def _seeds(self, of=0):
        """The replicate whose router or schedule each one uses; after the last base model comes the
        first.
        """
        if not of:
            return range(self.seeds)
        return [(seed + of) % len(self.models) for seed in range(self.seeds)]

    def made(self, method, making, cur=None, *, form="", of=0, guidance=None, **fields):
        """A row of schedules made as a ScheduleSpec says, one for each replicate. of: replicate n
        uses the schedule of replicate n + of. guidance: the one that the schedule is made for,
        where it is not the group's. fields: see `making`.
        """
        specs = [self.making(seed, making, cur, guidance, **fields) for seed in self._seeds(of)]
        transferred = {"transferred": True} if of or guidance else {}
        return self.row(method, cur, form=form, makings=specs, schedule="made", **transferred)

    def making(
        self,
        replicate,
        making,
        cur=None,
        guidance=None,
        *,
        settings=None,
        training=None,
        mask=None,
        **fields,
    ):
        """The ScheduleSpec of one replicate. training (a RouterTraining) or mask (Settings): take
        the mask of a router trained so, or the schedule searched so; with an `interval`, FORA's
        mask with predictions fitted so. fields: further ones of ScheduleSpec.
        """
        settings, of_fora = settings or Settings(), "interval" in fields
        if mask:
            taken = {"settings": mask, **({"interval": fields["interval"]} if of_fora else {})}
            mask = self.making(replicate, "fitted" if of_fora else "search", cur, guidance, **taken)
        return ScheduleSpec(
            model=self.model(replicate),
            sampler=self.sampler,
            num_steps=self.num_steps,
            guidance=guidance or self.guidance,
            making=making,
            cur_percent=None if of_fora else cur,
            router=self.router(training, replicate) if training else None,
            mask=mask,
            settings=replace(settings, seed=settings.seed + replicate),
            **fields,
        )

    def row(
        self, method, cur=None, *, form="", num_steps=None, routers=None, makings=None, **schedule
    ):
        """A row of runs under one schedule (fields of RunSpec). routers, makings: a RouterSpec or
        ScheduleSpec for each replicate; a ScheduleSpec holds the CUR itself.
        """
        num_steps = num_steps or self.num_steps
        runs = tuple(
            RunSpec(
                model=self.model(seed),
                sampler=self.sampler,
                num_steps=num_steps,
                guidance=self.guidance,
                against=self.num_steps,
                cur_percent=None if makings else cur,
                made=makings[seed] if makings else None,
                router=routers[seed] if routers else None,
                seed=seed,
                **self.images,
                **schedule,
            )
            for seed in range(self.seeds)
        )
        return Row(
            group=f"{self.title}, T = {self.num_steps}",
            model=self.label,
            method=method,
            num_steps=num_steps,
            cur_percent=cur,
            form=form,
            sampler=SAMPLERS[self.sampler],
            stochastic=self.sampler in STOCHASTIC,
            runs=runs,
        )


def latency_specs(rows):
    """One LatencySpec for each group, of the first run of each row that can be timed. The rows of a
    group must follow one another.
    """
    specs = []
    for group, group_rows in groupby(rows, key=lambda row: row.group):
        runs = tuple(row.runs[0] for row in group_rows if row.timed)
        # at 2048 px the features that a cache keeps of 16 images do not fit a GPU
        large = runs and runs[0].model.scale == "paper" and tokens(runs[0].model) > 4096
        specs.append(LatencySpec(group=group, runs=runs, **({"batch": 2} if large else {})))
    return specs
