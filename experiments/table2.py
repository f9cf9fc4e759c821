"""The rows of Table 2 at the scales that need no GPU: per sampler uncached, fewer steps, FORA 2,
HarmoniCa and our searches at the paper's CUR.
"""

from dataclasses import dataclass

from .rows import EQUAL_STEPS, PAPERS_STEPS
from .small_scale import HARMONICA, searched, training


@dataclass(frozen=True, kw_only=True)
class Block:
    """One sampler of Table 2 at 256 px: its steps, the steps of its row with fewer steps, those
    that compute nearly what HarmoniCa computes, and HarmoniCa's CUR in percent.
    """

    sampler: str
    num_steps: int
    fewer_steps: int
    equal_steps: int
    cur_percent: float


# 10 / 7, 20 / 15 and 12 / 10 steps stand for the paper's 20 / 15, 100 / 75 and 25 / 20. equal_steps
# is T over HarmoniCa's speedup by multiply-accumulates (1.92, 1.76 and 1.82), rounded.
BLOCKS = (
    Block(sampler="dpm++", num_steps=10, fewer_steps=7, equal_steps=5, cur_percent=56.01),
    Block(sampler="iddpm", num_steps=20, fewer_steps=15, equal_steps=11, cur_percent=53.24),
    Block(sampler="sa-solver", num_steps=12, fewer_steps=10, equal_steps=7, cur_percent=54.19),
)


def rows_of(group, block):
    """All rows of a Group, whose sampler and steps are the block's. The paper's row of fewer steps
    computes more than HarmoniCa does, so one at nearly equal compute stands beside it.
    """
    return [
        group.uncached(),
        group.uncached(block.fewer_steps, PAPERS_STEPS),
        group.uncached(block.equal_steps, EQUAL_STEPS),
        group.fora(),
        group.learned("HarmoniCa", training(group.scale, HARMONICA, block.cur_percent)),
        *searched(group, block.cur_percent),
    ]
