"""Applies a schedule to any diffusers pipeline: each unit of its transformer asks what to do, all
else is the model's own code.

Each pass of a step (guidance may take two) has its own cache. A pass that runs for the first time
computes everything, whatever its row says; so image to image can start at any row of a schedule.
"""

import torch
from torch.utils._pytree import tree_leaves

from harmonica.errors import check
from harmonica.fast.steps import COMPUTED, codes_of, depths_of
from harmonica.method.cache import predicted
from harmonica.pipeline.passes import Passes
from harmonica.pipeline.schedules import check_units


class UnitByUnit(Passes):
    """Applies schedules to every transformer of a pipeline, until remove() or the end of the `with`
    block. Between two calls of the pipeline it holds no features.
    """

    def __init__(self, pipe, schedules):
        self.schedules = schedules
        super().__init__(pipe, self.follow)

    @property
    def keep(self):
        """The keep mask (T, N); of several schedules, that of the one with the fewest steps."""
        return self.schedules.first.keep

    def follow(self, loop):
        """-> the policy for one call of the pipeline. BadInput where no schedule fits it."""
        timesteps = loop.timesteps.tolist()
        schedule, start = self.schedules.choose(timesteps, self.pipe.scheduler, loop.first)
        return Following(schedule, start, self.units)


class Following:
    """The policy for one trajectory, called as answer(step, turn) -> at (see passes.py).

    start: the step that row 0 stands for. A unit's features are held while the schedule needs them.
    """

    def __init__(self, schedule, start, units):
        self.schedule, self.start, self.units = schedule, start, units
        self.codes = codes_of(schedule)
        self.depths = depths_of(self.codes)
        self.needed = {entry: self._needed(*entry) for entry in schedule.weights}
        self.held, self.on_device = {}, {}

    def _needed(self, row, i):
        """The rows whose features the prediction of an entry was fitted for, newest first."""
        computed = self.schedule.keep[:row, i].nonzero().flatten().flip(0).tolist()
        return computed[: -self.codes[row][i]]

    def __call__(self, step, turn):
        names, model = self.units[turn.transformer].names, self.units[turn.transformer].model
        if step > self.start and turn in self.held:  # after the first forward, the units are known
            check_units(self.schedule, model, names)
        row = step - self.start
        held = self.held.setdefault(turn, {})

        def at(i, compute):
            right = f"this schedule has {self.schedule.num_blocks} columns"
            check(i < self.schedule.num_blocks, "transformer", f"unit {i}", right)
            stored, depth = held.get(i, ()), self.depths[row][i]
            if self.codes[row][i] == COMPUTED or not stored:
                feature = compute()
                held[i] = ((row, feature), *stored)[:depth]
            else:
                feature = self.skipped(row, i, stored)
                held[i] = stored[:depth]
            return feature

        return at

    def skipped(self, row, i, stored):
        """The feature of a skipped unit: predicted if the held features come from the rows that the
        weights were fitted for, otherwise the last one again. stored: (row, feature), newest first.
        """
        rows, features = zip(*stored)
        needed = self.needed.get((row, i))
        if needed is None or list(rows[: len(needed)]) != needed:
            return features[0]
        device = tree_leaves(features[0])[0].device
        if (row, i, device) not in self.on_device:
            weights = self.schedule.weights[row, i].to(device, torch.float32)
            self.on_device[row, i, device] = weights
        return predicted(self.on_device[row, i, device], features[: len(needed)])
