"""What a table is: its experiments, and the questions asked of it."""

from dataclasses import dataclass
from importlib import import_module

from experiments.rows import rows_in

SCALE, FULL_SET = "digits", 6  # and replicates, of what is committed, where a table says no other
NUM_SEEDS = 3  # replicates of a table that has not all of them yet


@dataclass(frozen=True, kw_only=True)
class Question:
    """Is `left` better than `right` in a table's settings? Against UNCACHED: is it nearly lossless?

    title: its name in the list of the table's findings. core: whether the table's core rows have
    both methods; if not, it is asked only where both are there.
    """

    left: str
    right: str
    title: str
    core: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table.

    target: the target of make. committed: which rows are committed, one of experiments.rows.ROWS.
    questions: how the rows are compared. plain_wins: title of the finding that says where a plain
    baseline wins, in a table that has some. published: the file of the paper's own numbers in
    results/paper. measured: the metrics at paper scale, in the order of the paper's columns. about,
    about_paper: what a reader must know about this table, at digits and at paper scale. frontier:
    whether error against speedup over all groups is drawn, and the compute at equal error shown.
    making: whether it shows what its schedules took to make. scale, num_seeds: those of the
    committed rows; a seed is a whole replicate.
    """

    name: str
    title: str
    experiments: tuple[str, ...]
    target: str
    questions: tuple[Question, ...] = ()
    plain_wins: str = ""
    published: str | None = None
    measured: tuple[str, ...] = ("IS", "FID", "sFID", "precision", "recall")
    about: str = ""
    about_paper: str = ""
    committed: str = "all"
    frontier: bool = False
    making: bool = False
    scale: str = SCALE
    num_seeds: int = FULL_SET

    @property
    def called(self):
        """Its title, with the scale where that is not the usual one."""
        return self.title + (f" at {self.scale} scale" if self.scale != SCALE else "")

    @property
    def key(self):
        """Its name, with the scale where that is not the usual one: no other table has it."""
        return self.key_at(self.scale)

    def key_at(self, scale):
        """The key of its rows at another scale."""
        return self.name + (f".{scale}" if scale != SCALE else "")

    def stem(self, scale):
        """The name of its files at a scale, without their ending."""
        return f"{self.name}.{scale}"

    def rows(self, scale, which="core", num_seeds=1):
        """[experiments.Row] of all blocks of the table."""
        return [
            row for config in self._configs() for row in rows_in(config, scale, which, num_seeds)
        ]

    def costs(self, scale):
        """[TrainingCostSpec]: what a table of training costs shows, which has no rows."""
        configs = [config for config in self._configs() if hasattr(config, "costs")]
        return [spec for config in configs for spec in config.costs(scale)]

    def committed_command(self):
        return self.command(self.committed, self.num_seeds, self.scale)

    def behind(self):
        """The names of the experiments that its committed rows or costs are of."""
        return [
            name
            for name, config in zip(self.experiments, self._configs())
            if hasattr(config, "costs") or rows_in(config, self.scale, self.committed)
        ]

    def command(self, which="core", num_seeds=1, scale=SCALE):
        """The make command behind the table, with what differs from the defaults."""
        options = {"SCALE": (scale, SCALE), "ROWS": (which, "core"), "SEEDS": (num_seeds, 1)}
        given = [f"{name}={value}" for name, (value, usual) in options.items() if value != usual]
        return " ".join([f"make {self.target}", *given])

    def _configs(self):
        return [import_module(f"experiments.{name}.config") for name in self.experiments]


def ask(*questions, core=True):
    """[Question] of (left, right, title). core: whether the core rows have both methods."""
    return tuple(
        Question(left=left, right=right, title=title, core=core) for left, right, title in questions
    )
