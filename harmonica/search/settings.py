"""The settings of a search, and how many forwards it will take. Imports no torch."""

from dataclasses import dataclass

from harmonica.errors import check

STARTS = ("grown", "fora", "reuse")
TRIES = 2  # rounds of each start, before only the best one continues
REFITS = 2.5  # updates of the weights of predictions for each image of the search (refit.py)
REFIT_IMAGES = 8  # new images for each update, also of a search on few: with 2 they did harm
REFIT_WALKS = 5  # per image: two forward, one again for the graph, a backward pass as two
FEWER = 4  # where some swaps do not help, a quarter as many are tried


@dataclass(frozen=True, kw_only=True)
class Settings:
    """images: how many images a linearisation uses; predictions are fitted on half as many. batch:
    how many images are walked at once (by all ranks together), by default all. directions: along
    how many random directions of the final image each image is probed. check_images: on how many
    other images a schedule's error is measured. window: how old, in steps, a feature may be that a
    skipped block uses (older where the budget needs it). predict: skipped blocks are predicted from
    two features, else they reuse one. stages: the shares of the budget up to which the schedule
    grows between linearisations. rounds: how often, at most, the best schedule is linearised again
    and improved, by at most `swaps` swaps and with the samples of the last `memory` rounds; before
    that each start has two such rounds.
    """

    images: int = 48
    batch: int | None = None
    directions: int = 1
    check_images: int = 64
    window: int = 6
    predict: bool = True
    stages: tuple[float, ...] = (0.4, 0.7, 0.85, 1.0)
    rounds: int = 6
    swaps: int = 24
    memory: int = 4
    seed: int = 0

    def __post_init__(self):
        for field in ("images", "directions", "check_images", "window", "swaps", "memory"):
            value = getattr(self, field)
            check(value >= 1, field, value, "it must be at least 1")
        check(self.rounds >= 0, "rounds", self.rounds, "it must be at least 0")
        for field in ("images", "check_images"):
            value = getattr(self, field)
            check(
                value % self.at_once(value) == 0,
                "batch",
                self.batch,
                f"it must divide {field} ({value})",
            )
        check(
            self.stages
            and self.stages[-1] == 1
            and all(0 < a < b for a, b in zip(self.stages, self.stages[1:])),
            "stages",
            self.stages,
            "they must rise to 1, from above 0",
        )

    def at_once(self, images):
        """The batch size for so many images."""
        return min(self.batch or images, images)

    def in_batches(self, images):
        """So many images, rounded up to whole batches."""
        at_once = self.at_once(images)
        return -(-images // at_once) * at_once

    @property
    def fit_images(self):
        """Half of the images, in whole batches."""
        return self.in_batches(max(1, self.images // 2))

    @property
    def starts(self):
        """The schedules that are improved by swaps: "grown", "fora" and, where skipped blocks are
        predicted, "reuse", the one that was grown as if they were reused.
        """
        return STARTS if self.predict else STARTS[:2]

    @property
    def grown(self):
        return tuple(start for start in self.starts if start != "fora")

    @property
    def tries(self):
        return min(TRIES, self.rounds)

    def forwards(self, num_steps, goals=None, budgets=1):
        """The number of forwards of one image that a search needs at most. goals: how often a
        growing schedule is linearised, by default once per stage (several budgets need more).
        """
        goals = goals or len(self.stages)
        starts = len(self.starts) * budgets
        rounds = starts * self.tries + budgets * self.rounds
        linearised = len(self.grown) * goals + starts + rounds
        judged = starts + rounds * len(self.tried())
        fits = self.predict * (goals + starts + judged + 2 * budgets)
        walks = linearised * self.linearisation() + fits * self.fit_images
        walks += (judged + 1) * self.check_images
        return num_steps * walks

    def tried(self, swaps=None):
        """-> the numbers of swaps that are tried one after another until one helps."""
        swaps = self.swaps if swaps is None else swaps
        return [swaps // FEWER**k for k in range((swaps.bit_length() + 1) // 2)]

    @property
    def refits(self):
        """How often the weights of predictions are updated where they are refitted."""
        return round(REFITS * self.images)

    def refitting(self, num_steps):
        """The number of forwards of one image that refitting the weights takes at most."""
        update = REFIT_WALKS * self.in_batches(REFIT_IMAGES)
        return num_steps * (self.refits * update + 3 * self.check_images)

    def linearisation(self):
        """The cost of a linearisation in walks of one image: a backward pass counts as two, and
        building the graph again for it as one.
        """
        return self.images * (2 + 3 * self.directions)
