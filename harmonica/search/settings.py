"""How a schedule is searched, as data; and what it costs beforehand. Imports no torch."""

from dataclasses import dataclass

from harmonica.errors import check

STARTS = ("grown", "fora", "reuse")
TRIES = 2  # rounds of each start before the best one alone goes on
FEWER = 4  # swaps that do not help are followed by a quarter of them


@dataclass(frozen=True, kw_only=True)
class Settings:
    """images: how many a linearisation sees; predictions are fitted to half of them. batch: how
    many are walked at once (by all ranks together), by default all. directions: random ones of the
    final image that each is probed along. check_images: how many other ones a schedule is judged
    on. window: the oldest feature that a skipped block may use, in steps. predict: skipped blocks
    are predicted from two features, else they reuse one. stages: the shares of the budget at which
    the image is linearised anew. rounds: how often, at most, a schedule is linearised again and
    improved by swaps, by `swaps` at a time at most, with the samples of the last `memory` rounds;
    before that each start has two.
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
        """How many of so many images are walked at once."""
        return min(self.batch or images, images)

    @property
    def fit_images(self):
        """Half of the images, in whole batches."""
        at_once = self.at_once(self.images)
        half = max(1, self.images // 2)
        return -(-half // at_once) * at_once if at_once < half else half

    @property
    def starts(self):
        """From where schedules are improved: the one grown for what will be run, FORA, and where
        skipped blocks are predicted the one grown for reuse.
        """
        return STARTS if self.predict else STARTS[:2]

    @property
    def grown(self):
        return tuple(start for start in self.starts if start != "fora")

    @property
    def tries(self):
        return min(TRIES, self.rounds)

    def forwards(self, num_steps, goals=None, budgets=1):
        """Forwards of one image that a search takes at most. goals: how often a growing schedule is
        linearised, where budgets are several.
        """
        goals, begun = goals or len(self.stages), len(self.starts) * budgets
        rounds = begun * self.tries + budgets * self.rounds
        linearised = len(self.grown) * goals + begun + rounds
        judged = begun + rounds * len(self.tried())
        fits = self.predict * (goals + begun + judged + 2 * budgets)
        walks = linearised * self.linearisation() + fits * self.fit_images
        walks += (judged + 1) * self.check_images
        return num_steps * walks

    def tried(self, swaps=None):
        """How many swaps are tried in turn until some help."""
        swaps = self.swaps if swaps is None else swaps
        return [swaps // FEWER**k for k in range((swaps.bit_length() + 1) // 2)]

    def linearisation(self):
        """Walks of one image, a backward counted as two and a graph that is built again as one."""
        return self.images * (2 + 3 * self.directions)
