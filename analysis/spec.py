"""What a table is: its experiments, and the questions that it is asked."""

from dataclasses import dataclass
from importlib import import_module

SCALE, NUM_SEEDS = "digits", 3  # of what is committed, where a table says nothing else


@dataclass(frozen=True, kw_only=True)
class Question:
    """Is `left` better than `right` in a table's settings? Against UNCACHED: is it nearly lossless?

    title: what it is called where the table's findings are listed. core: whether the table's core
    rows have both; else it is asked where they are there.
    """

    left: str
    right: str
    title: str
    core: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table.

    target: make's. committed: which rows are, core or all (ablations have one set). questions: what
    the rows are compared for. plain_wins: the title of where a plain baseline wins, in a table that
    has some. published: the file of the paper's own numbers in results/paper. measured: the metrics
    at paper scale, in the order of the paper's columns. about, about_paper: what a reader must know
    of this table alone, at digits and at paper scale. frontier: whether it has a picture of error
    against speedup over all its groups, and of the compute at equal error. making: whether it shows
    what its schedules took to make. scale, num_seeds: of what is committed of it; a seed is a whole
    replicate.
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
    num_seeds: int = NUM_SEEDS

    @property
    def called(self):
        """Its title, with the scale where that is not the usual one."""
        return self.title + (f" at {self.scale} scale" if self.scale != SCALE else "")

    def rows(self, scale, which="core", num_seeds=1):
        """[experiments.Row] of all blocks of the table."""
        return [row for config in self._configs() for row in config.table(scale, which, num_seeds)]

    def costs(self, scale):
        """[TrainingCostSpec]: what a table of training costs shows, which has no rows."""
        configs = [config for config in self._configs() if hasattr(config, "costs")]
        return [spec for config in configs for spec in config.costs(scale)]

    def committed_command(self):
        return self.command(self.committed, self.num_seeds, self.scale)

    def command(self, which="core", num_seeds=1, scale=SCALE):
        """The make command behind the table, with what differs from the defaults."""
        options = {"SCALE": (scale, SCALE), "ROWS": (which, "core"), "SEEDS": (num_seeds, 1)}
        given = [f"{name}={value}" for name, (value, usual) in options.items() if value != usual]
        return " ".join([f"make {self.target}", *given])

    def _configs(self):
        return [import_module(f"experiments.{name}.config") for name in self.experiments]


def ask(*questions, core=True):
    """core: whether the table's core rows have the methods of these questions."""
    return tuple(
        Question(left=left, right=right, title=title, core=core) for left, right, title in questions
    )
