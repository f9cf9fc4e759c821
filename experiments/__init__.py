"""Experiments: each folder's config.py names the runs behind a table of the paper, as data. Nothing
here imports torch.
"""

from dataclasses import dataclass

from harmonica.lab.runs import RunSpec

ROWS = ("core", "all")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table: a method at one setting, and the runs that are averaged in it.

    group: rows that share one uncached model. runs: over base models, then evaluation noises. form:
    which of a method's forms this is, where it has several. sampler: its name, which is also the
    method of the rows that cache nothing. stochastic: whether it draws noise at each step, so that
    a run with fewer steps is another realisation.
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
        """Whether every block is computed: the uncached model, and the same one with fewer steps."""
        return self.method == self.sampler
