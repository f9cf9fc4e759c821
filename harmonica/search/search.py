"""The search: grow the skipped share in stages, then improve it by swaps, checked on other noise.

    schedules = Search(walk, [160], Settings()).run()       # 160 of the T N entries are skipped

1. Grow: skip more and more entries, in stages up to the largest budget. Each stage linearises the
   model at the present schedule (probe.py) and takes the best one under the quadratic model
   (quadratic.py). Where skipped blocks are to be predicted, a second schedule is grown for reuse.
2. Polish: linearise, propose swaps, and accept them only if the TRUE error on other noise falls,
   else try a quarter as many. Each start (the grown schedules, and FORA at the interval that fits
   best) gets a round or two, then the best one as many as help. So on that noise the result is
   never worse than FORA at the same budget.

measure.py walks the model for all this; state.py saves what was found after each part.
"""

from dataclasses import asdict, replace

import numpy as np

from harmonica.errors import check
from harmonica.method import masks, ranks
from harmonica.search.measure import FINAL, Measure
from harmonica.search.quadratic import MOST_SWAPS, Quadratic, descend, sparsest
from harmonica.search.settings import STARTS
from harmonica.search.state import State


class Search:
    """A search over one walk (see harmonica.search), for one budget or several at once.

    targets: the budgets, each the total cost that skipped entries must save. costs (N,): integer
    cost of an entry of each block; by default 1, so exactly `target` entries are skipped.
    state_path: the file in which the state is saved after each stage. fixed: the steps that compute
    everything. bar: a tqdm; it counts forwards of one image, its total is the most that are needed.
    """

    def __init__(
        self, walk, targets, settings, *, costs=None, state_path=None, bar=None, fixed=(0,)
    ):
        self.state_path, self.bar = state_path, bar
        self.T, self.N, self.fixed = walk.num_steps, walk.num_blocks, sorted({0, *fixed})
        self.targets = sorted(set(targets))
        self.costs = np.asarray([1] * self.N if costs is None else costs, np.int64)
        check(len(self.targets) > 0, "targets", targets, "give at least one budget")
        self.settings = settings = replace(settings, window=self._wide_enough(settings.window))
        self.state = State(
            {
                "settings": asdict(settings),
                "targets": self.targets,
                "costs": self.costs.tolist(),
                "steps": self.T,
                "blocks": self.N,
            }
        )
        self.measure = Measure(walk, settings, self.state, bar)

    def forwards(self):
        """The number of forwards of one image that the search needs at most."""
        settings = self.settings
        return settings.forwards(self.T, len(self.goals()), len(self.targets))

    def _wide_enough(self, window):
        """The smallest window, not below this one, in which the largest budget can be saved."""
        blocks = int(self.costs.sum())
        while window < self.T - 1:
            least = int(sparsest(self.T, window, self.fixed).sum())
            if blocks * (self.T - least) >= self.targets[-1]:
                break
            window += 1
        return window

    def goals(self):
        """The budgets of the growing stages, one linearisation each."""
        largest = self.targets[-1]
        return sorted({round(share * largest) for share in self.settings.stages} | {*self.targets})

    def run(self):
        """-> {target: Schedule}, the best found for each."""
        if self.state_path:
            self.state.restore(self.state_path)
        if self.bar is not None:
            self.bar.total = self.forwards()
        for number, (method, *arguments) in enumerate(self.plan()):
            if number < self.state.values["done"]:
                continue
            method(*arguments)
            self.state.values["done"] = number + 1
            if self.state_path and ranks.is_first():
                self.state.save(self.state_path)
        return {target: self.best(target) for target in self.targets}

    def plan(self):
        """Yield the parts of the search in order, as (method, *arguments)."""
        settings = self.settings
        for start in settings.grown:
            yield from ((self.grow, start, stage, goal) for stage, goal in enumerate(self.goals()))
        for target in self.targets:
            for start in settings.starts:
                yield self.begin, target, start
                yield from ((self.polish, target, start) for _ in range(settings.tries))
            yield from ((self.polish, target, None) for _ in range(settings.rounds))

    def leading(self, target):
        """The name of the start whose schedule has the lowest error so far."""
        names = [f"{target} {start}" for start in self.settings.starts]
        return min(names, key=lambda name: self.state.values[name]["error"])

    def best(self, target):
        return self.measure.schedule(self.state.masks[self.leading(target)])

    def held_back(self, schedule):
        """The schedule's error on noise that was used neither to choose nor to fit anything."""
        return self.measure.error(schedule, FINAL)

    # the parts that plan() yields

    def grow(self, start, stage, goal):
        keep = self.state.masks["growing"] if stage else np.ones((self.T, self.N), bool)
        self.measure.tell(f"{start}, stage {stage + 1} of {len(self.goals())}")
        self.state.samples = {}  # older samples are of schedules too different from this one
        predict = self.settings.predict and start == "grown"
        keep = self.descend("growing", keep, goal, (stage,), predict=predict)[-1]
        self.state.masks["growing"] = keep
        if goal in self.targets:
            self.state.masks[f"{goal} {start}"] = keep

    def begin(self, target, start):
        name = f"{target} {start}"
        tally = {"swaps": self.settings.swaps, "failed": 0, "round": 0}
        keep = self.fora(target) if start == "fora" else self.state.masks[name]
        if not 0 <= self.saved(keep) - target < self.costs.min():
            keep = self.descend(name, keep, target, self.key(target, start, 0), swaps=0)[-1]
            tally["round"] = 1
        tally["error"] = self.measure.error(self.measure.schedule(keep))
        self.state.masks[name], self.state.values[name] = keep, tally
        self.measure.tell(f"{start} start", tally["error"])

    def polish(self, target, start):
        """One round: linearise once, then accept the largest number of swaps that lowers the true
        error. Does nothing after two rounds in a row without success.
        """
        name = f"{target} {start}" if start else self.leading(target)
        tally, keep = self.state.values[name], self.state.masks[name]
        if tally["failed"] == 2:
            return
        key = self.key(target, name.split()[1], tally["round"])
        path = self.descend(name, keep, target, key, tally["swaps"])
        tally |= {"round": tally["round"] + 1, "failed": tally["failed"] + 1}
        for swaps in self.settings.tried(len(path) - 1):
            error = self.measure.error(self.measure.schedule(path[swaps]))
            if error < tally["error"]:
                self.state.masks[name] = path[swaps]
                tally |= {"error": error, "swaps": min(2 * swaps, self.settings.swaps), "failed": 0}
                break
        self.measure.tell(f"{name}, round {tally['round']}", tally["error"])

    # what these parts use

    def descend(self, name, keep, target, key, swaps=MOST_SWAPS, predict=None):
        """Linearise at keep, with the noise of this key, and minimise the quadratic model of these
        samples and of the last ones of schedule `name` -> path, as quadratic.descend.
        """
        predict = self.settings.predict if predict is None else predict
        samples = [*self.state.samples.get(name, []), self.measure.linearise(keep, key, predict)]
        self.state.samples[name] = samples[-self.settings.memory :]
        r, Q = (np.concatenate(parts) for parts in zip(*self.state.samples[name]))
        quadratic = Quadratic(r, Q, self.settings.window, self.fixed)
        return ranks.agree(descend(quadratic, keep, target, self.costs, swaps))

    def fora(self, target):
        """FORA's mask at the interval whose saving is closest to target."""
        possible = []
        for interval in range(2, min(self.settings.window + 1, self.T) + 1):
            keep = masks.fora(self.T, self.N, interval).numpy()
            keep[self.fixed] = True
            possible.append(keep)
        return min(possible, key=lambda keep: abs(self.saved(keep) - target))

    def saved(self, keep):
        return int((~keep * self.costs).sum())

    def key(self, target, start, round_):
        """A key for the noise of a round, different from those of all other rounds and stages."""
        return len(self.goals()) + self.targets.index(target), STARTS.index(start), round_
