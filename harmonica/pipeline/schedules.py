"""Reads the schedules that a user gives, in any form, and checks which fits a pipeline's call."""

import math
from numbers import Real
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from harmonica.errors import BadInput, check, warn
from harmonica.files import first_line
from harmonica.method.router import Router
from harmonica.method.schedule import HUB_ID, Schedule
from harmonica.pipeline.transformers import kinds_of, num_blocks
from harmonica.weights import formats


class Schedules:
    """The schedules that are applied to a pipeline: one, or one for each of several step counts.

    by_steps: {T: Schedule}. assume_timesteps: accept a schedule that records other timesteps than
    the scheduler's, or none.
    """

    def __init__(self, source, transformer, cur=None, assume_timesteps=False):
        self.by_steps = read_schedules(source, transformer, cur)
        self.assume = assume_timesteps
        self.warned = set()
        for schedule in self.by_steps.values():
            check_kinds(schedule, transformer)
            self._check_recorded(schedule)

    @property
    def first(self):
        """The schedule with the fewest steps, or the only one."""
        return self.by_steps[min(self.by_steps)]

    def _check_recorded(self, schedule):
        if schedule.timesteps is None and not self.assume:
            raise BadInput(
                "schedule: it records no timesteps (published files hold T and N alone); "
                "if it was made for those of this pipeline's scheduler, "
                "say so with assume_timesteps=True"
            )
        if schedule.timesteps is None:
            warn("the schedule records no timesteps: it is taken to fit this pipeline's scheduler")

    def choose(self, timesteps, scheduler, first=0):
        """-> the schedule for a call, and the step that its row 0 stands for; an image-to-image
        call starts at a later one. BadInput where none fits.

        timesteps: all that the scheduler has set; the call leaves out the `first` ones.
        """
        steps, remaining = len(timesteps), len(timesteps) - first
        candidates = [
            self.by_steps[count] for count in (steps, remaining) if count in self.by_steps
        ]
        if not candidates:
            counts = ", ".join(map(str, sorted(self.by_steps)))
            subject = "this schedule is" if len(self.by_steps) == 1 else "these schedules are"
            run = f" and {remaining} of them run" if first else ""
            strength = " or strength" if first else ""
            right = (
                f"the {type(scheduler).__name__} sets this many in this call{run}, but {subject} "
                f"for {counts}: change num_inference_steps{strength}, or use another schedule"
            )
            check(False, "timesteps", steps, right)
        schedule = candidates[0]
        start = steps - schedule.num_steps
        self._check_timesteps(schedule, timesteps[start:], scheduler)
        return schedule, start

    def _check_timesteps(self, schedule, timesteps, scheduler):
        expected = schedule.timesteps or timesteps
        if all(map(math.isclose, timesteps, expected)):
            return
        actual = f"the scheduler gives {_shown(timesteps)}"
        recorded = f"the schedule was made for {_shown(expected)}"
        sampler = type(scheduler).__name__
        if (made := schedule.about.get("sampler", sampler)) != sampler:
            actual, recorded = f"{actual} ({sampler})", f"{recorded} ({made})"
        shifts = f"{shift_of(timesteps):.3g}", f"{shift_of(expected):.3g}"
        if self.assume:
            message = f"timesteps differ, as accepted: {actual}, {recorded}"
        elif not is_shifting(scheduler):
            raise BadInput(
                f"timesteps: {actual}, {recorded}; search or train one on this pipeline "
                "(python -m harmonica search, ... train), set the timestep_spacing of "
                "its scheduler to the one that the schedule was made with, "
                "or accept it with assume_timesteps=True"
            )
        elif made == sampler and shifts[0] != shifts[1]:
            message = (
                f"timesteps are shifted: {actual} (shift {shifts[0]}), "
                f"{recorded}, a shift of {shifts[1]}"
            )
        else:
            message = f"timesteps differ: {actual}, {recorded}; the schedule is followed by steps"
        if message not in self.warned:
            self.warned.add(message)
            warn(message)


def is_shifting(scheduler):
    """Whether a scheduler does flow matching, where the timesteps may be shifted by resolution."""
    config = scheduler.config
    return bool(
        type(scheduler).__name__.startswith("FlowMatch")
        or config.get("use_flow_sigmas")
        or config.get("prediction_type") == "flow_prediction"
    )


def shift_of(timesteps):
    """An estimate of the shift s, for timesteps 1000 s u / (1 + (s - 1) u) with u falling evenly
    from 1: it is solved for the middle timestep.
    """
    half = len(timesteps) // 2
    u, x = 1 - half / len(timesteps), timesteps[half] / 1000
    return x * (1 - u) / (u * (1 - x)) if 0 < x < 1 and half else 1.0


def read_schedules(source, transformer, cur=None):
    """-> {T: Schedule} of a Schedule, a Router, a path for formats.read_schedules or a hub id."""
    number = cur is None or isinstance(cur, Real) and not isinstance(cur, bool)
    check(number, "cur", cur, "give the share to reuse as a number, in percent")
    if isinstance(source, Schedule):
        check(
            cur is None,
            "cur",
            cur,
            "a Schedule has its share; leave cur out (a Router has a schedule for every cur)",
        )
        return {source.num_steps: source}
    if isinstance(source, Router):
        return {source.num_steps: source.schedule(cur)}
    right = "give a Schedule or Router, the path of a file or folder with one, or a hub id"
    right += " (a search or training with dry_run=True returns none)" if source is None else ""
    kind = source if source is None else type(source).__name__
    check(isinstance(source, (str, Path)), "schedule", kind, right)
    path = Path(source).expanduser()
    if not path.exists() and HUB_ID.fullmatch(str(source)) and path.suffix not in formats.ENDINGS:
        path = _downloaded(str(source))
    kinds, model = kinds_of(transformer), {}
    if kinds:  # for files that do not say them
        model = {"num_blocks": num_blocks(transformer), "kinds": kinds}
    return formats.read_schedules(path, cur, **model)


def check_kinds(schedule, transformer):
    """BadInput where a schedule was made for another model. Only the kinds and the number of blocks
    are known before the model has run; check_units compares the units later.
    """
    kinds = schedule.about.get("kinds")
    model, model_kinds = type(transformer).__name__, kinds_of(transformer)
    recorded = f"blocks {', '.join(kinds or ())}"
    if not model_kinds:
        right = f"it is of a DiT or PixArt, this is a {model}"
        check(not kinds or "units" in schedule.about, "schedule", recorded, right)
        return
    if kinds:
        right = f"this {model} has {', '.join(model_kinds)} in turn"
        check(tuple(kinds) == model_kinds, "schedule", recorded, right)
    blocks = num_blocks(transformer)
    right = f"this {model} has {blocks} cacheable blocks"
    check(schedule.num_blocks == blocks, "schedule", f"N = {schedule.num_blocks}", right)


def check_units(schedule, transformer, names):
    """BadInput where a schedule is not for the units that the model's first step has shown."""
    model = type(transformer).__name__
    right = f"this {model} has {len(names)} cacheable units"
    check(schedule.num_blocks == len(names), "schedule", f"N = {schedule.num_blocks}", right)
    units = schedule.about.get("units") or names
    differing = [pair for pair in zip(units, names) if pair[0] != pair[1]]
    if differing:
        recorded, actual = differing[0]
        check(False, "schedule", f"unit {recorded}", f"this {model} has {actual} in its place")


def _downloaded(source):
    try:
        return Path(snapshot_download(source, allow_patterns=["*.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise BadInput(
            f"schedule: {source} is no file or folder here, and no hub repository that could be "
            f"reached ({first_line(error)})"
        ) from None


def _shown(timesteps):
    return ", ".join(f"{t:g}" for t in timesteps[:3]) + f", ..., {timesteps[-1]:g}"
