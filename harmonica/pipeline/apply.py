"""apply(pipe, schedule) makes a diffusers pipeline compute only what a schedule keeps.

There are two engines. A DiT or PixArt with diffusers' own, unchanged code runs the specialised
steps of harmonica.fast (planned.py). Every other transformer, and a DiT or PixArt in which
something was changed, runs its own code, and each unit asks the schedule when it is called
(unit_by_unit.py). For both, schedules.py decides which schedule a call follows, and whether it
fits.
"""

from pathlib import Path

from diffusers import DiffusionPipeline

from harmonica.errors import BadInput, check
from harmonica.fast.plan import BACKENDS
from harmonica.method.router import Router
from harmonica.method.schedule import Schedule
from harmonica.pipeline.passes import first_transformer
from harmonica.pipeline.planned import Planned, owner
from harmonica.pipeline.schedules import Schedules
from harmonica.pipeline.transformers import obstacle
from harmonica.pipeline.unit_by_unit import UnitByUnit


def apply(
    pipe: DiffusionPipeline,
    schedule: Schedule | Router | str | Path,
    *,
    cur: float | None = None,
    assume_timesteps: bool = False,
    backend: str = "eager",
) -> Planned | UnitByUnit:
    """Let `pipe` skip what `schedule` says, until remove(pipe) or the end of a `with` block.

        with harmonica.apply(pipe, schedule):
            images = pipe(...).images

    pipe: a diffusers pipeline over a transformer. schedule: a Schedule, a Router, a file in any
    format that formats.read knows, a folder of save_pretrained, a folder with one of these for each
    number of steps, or a hub id. cur: for a Router only, reuse exactly round(cur / 100 T N) entries
    instead of the share it was trained for. backend: "cudagraph" captures the steps of a DiT or
    PixArt on a GPU, which makes them faster; it needs a C compiler. What is captured is kept
    between calls, so apply the schedule again after weights were changed in place (by fusing an
    adapter, for example).

    A call of the pipeline raises BadInput before its first step unless the scheduler's timesteps
    are those that the schedule records; with flow matching they may be shifted, with a warning.
    assume_timesteps=True accepts a schedule of the right number of steps that records no timesteps
    or different ones.
    """
    check(backend in BACKENDS, "backend", backend, f"choose one of {', '.join(BACKENDS)}")
    check_free(pipe)
    model = first_transformer(pipe)
    schedules = Schedules(schedule, model, cur, assume_timesteps)
    reason = obstacle(model)
    if reason is None:
        return Planned(pipe, schedules, backend)
    right = f"the transformer is or has {reason}, whose blocks are called as they are: choose eager"
    check(backend == "eager", "backend", backend, right)
    return UnitByUnit(pipe, schedules)


def remove(pipe: DiffusionPipeline) -> None:
    """Undo apply: the pipeline is again as it was before."""
    applied = find_applied(pipe)
    if applied is None:
        raise BadInput("pipe: no schedule is applied to it; there is nothing to remove")
    applied.remove()


apply_router, remove_router = apply, remove


def check_free(pipe):
    """BadInput where a schedule is applied to a pipeline."""
    right = "caching is applied to it already; harmonica.remove(pipe) first"
    check(find_applied(pipe) is None, "pipe", type(pipe).__name__, right)


def find_applied(pipe):
    """The Planned or UnitByUnit on a pipeline, its transformer or its scheduler, or None."""
    scheduler, transformer = getattr(pipe, "scheduler", None), getattr(pipe, "transformer", None)
    counting = getattr(getattr(scheduler, "set_timesteps", None), "func", None)
    functions = getattr(transformer, "forward", None), counting, getattr(pipe, "progress_bar", None)
    owners = map(owner, functions)
    return next((applied for applied in owners if isinstance(applied, (Planned, UnitByUnit))), None)
