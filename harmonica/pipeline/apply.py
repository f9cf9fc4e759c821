"""apply(pipe, schedule): a diffusers pipeline that computes only what a schedule keeps. One line
for its user.

Two engines do it. A DiT or PixArt that is exactly diffusers' own runs by specialised steps
(planned.py); every other transformer, and these where something was changed in them, by asking each
unit as it is called (walked.py). Which schedule a call follows, and whether it fits, is decided in
fitting.py for both.
"""

from harmonica.errors import BadInput, check
from harmonica.fast.plan import BACKENDS
from harmonica.pipeline.fitting import Schedules
from harmonica.pipeline.planned import Planned, owner
from harmonica.pipeline.transformers import obstacle
from harmonica.pipeline.walk import transformers_of
from harmonica.pipeline.walked import Walked


def apply(pipe, schedule, *, cur=None, assume_timesteps=False, backend="eager"):
    """Let `pipe` skip what `schedule` says, until remove(pipe) or the end of a `with` block.

        with harmonica.apply(pipe, schedule):
            images = pipe(...).images

    pipe: a diffusers pipeline over a transformer. schedule: a Schedule, a Router, a path of any
    format that formats.read knows, a folder of save_pretrained, a folder with one of these for each
    number of steps, or a hub id. cur: of a Router, reuse exactly round(cur / 100 T N) entries
    instead of what it was trained for. backend: "compile" (torch.compile) or "cudagraph" (on a GPU)
    make the steps of a DiT or PixArt faster to call; what they make is kept from call to call, so
    apply the schedule again after weights were changed in place (an adapter fused, say).

    A call of the pipeline raises BadInput before its first step unless the scheduler's timesteps
    are those that the schedule records; those of flow matching may be shifted, with a warning.
    assume_timesteps=True accepts a schedule that records none, or others, of the right number.
    """
    check(backend in BACKENDS, "backend", backend, f"choose one of {', '.join(BACKENDS)}")
    right = "caching is applied to it already; harmonica.remove(pipe) first"
    check(find_applied(pipe) is None, "pipe", type(pipe).__name__, right)
    model = next(iter(transformers_of(pipe).values()))
    schedules, found = Schedules(schedule, model, cur, assume_timesteps), obstacle(model)
    if found is None:
        return Planned(pipe, schedules, backend)
    right = f"the transformer is or has {found}, whose blocks are called as they are: choose eager"
    check(backend == "eager", "backend", backend, right)
    return Walked(pipe, schedules)


def remove(pipe):
    """Undo apply: the pipeline is as it was."""
    applied = find_applied(pipe)
    if applied is None:
        raise BadInput("pipe: no schedule is applied to it; there is nothing to remove")
    applied.remove()


apply_router, remove_router = apply, remove


def find_applied(pipe):
    """The Planned or Walked at work on a pipeline, its transformer or its scheduler, or None."""
    scheduler, transformer = getattr(pipe, "scheduler", None), getattr(pipe, "transformer", None)
    counting = getattr(getattr(scheduler, "set_timesteps", None), "func", None)
    functions = getattr(transformer, "forward", None), counting, getattr(pipe, "progress_bar", None)
    owners = map(owner, functions)
    return next((found for found in owners if isinstance(found, (Planned, Walked))), None)
