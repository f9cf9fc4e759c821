"""The rows of Table 2 at the scales that need no GPU: per sampler uncached, fewer steps, FORA 2,
HarmoniCa at the paper's CUR.
"""

from dataclasses import dataclass

from . import Row
from .table1 import HARMONICA, run


@dataclass(frozen=True, kw_only=True)
class Block:
    """The three rows that the paper prints for a sampler at 256 px, and FORA: steps, fewer steps,
    HarmoniCa's CUR.
    """

    sampler: str
    id: str
    stochastic: bool
    num_steps: int
    fewer_steps: int
    cur_percent: float


# 10 / 7, 20 / 15 and 12 / 10 steps stand for the paper's 20 / 15, 100 / 75 and 25 / 20
BLOCKS = (
    Block(
        sampler="DPM-Solver++",
        id="dpm++",
        stochastic=False,
        num_steps=10,
        fewer_steps=7,
        cur_percent=56.01,
    ),
    Block(
        sampler="IDDPM",
        id="iddpm",
        stochastic=True,
        num_steps=20,
        fewer_steps=15,
        cur_percent=53.24,
    ),
    Block(
        sampler="SA-Solver",
        id="sa-solver",
        stochastic=True,
        num_steps=12,
        fewer_steps=10,
        cur_percent=54.19,
    ),
)


def group(block, *, scale, models, label, num_seeds, guidance=1.0):
    """The four rows of one sampler, averaged over `num_seeds` base models and as many evaluation
    noises.
    """
    models, noises = models[:num_seeds], range(num_seeds)
    model = label if guidance == 1.0 else f"{label}, guidance {guidance:g}"

    def row(method, cur=None, steps=block.num_steps, **how):
        runs = tuple(
            run(
                scale,
                model,
                noise,
                sampler=block.id,
                guidance=guidance,
                num_steps=steps,
                against=block.num_steps,
                cur_percent=cur,
                **how,
            )
            for model in models
            for noise in noises
        )
        return Row(
            group=f"{model}, {block.sampler}, T = {block.num_steps}",
            model=model,
            method=method,
            num_steps=steps,
            cur_percent=cur,
            sampler=block.sampler,
            stochastic=block.stochastic,
            runs=runs,
        )

    return [
        row(block.sampler, schedule="full"),
        row(block.sampler, steps=block.fewer_steps, schedule="full"),
        row("FORA", schedule="fora"),
        row("HarmoniCa", block.cur_percent, schedule="router", **HARMONICA),
    ]
