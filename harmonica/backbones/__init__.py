"""The one view of a diffusion transformer that everything here runs over: a start, N cacheable
blocks, a finish.

    cond = backbone.with_null(cond)          under classifier-free guidance: the batch, then as many null conditions
    ctx  = backbone.prepare(cond)            once per trajectory
    h, c = backbone.start(x, t, ctx)         once per step; t is a (B,) tensor of model timesteps
    for i, block in enumerate(backbone.blocks):
        out = block.residual(h, c)           before the gate; or a cached feature of an earlier step
        h = block.add(h, c, out)             gate and sum
    out  = backbone.finish(h, c)             the raw model output, learned-sigma channels included

All of it is pure: nothing is kept on modules, nothing is written in place. A backbone also tells
`in_channels`, `sample_size`, `guided_channels` (what classifier-free guidance acts on), `kinds`
(what each transformer block's units are called), `fixed_macs` of start and finish, `prompt_macs` of
prepare and, per block, `macs` and `feature_size` (multiply-accumulates, elements per sample).

It may have `time(t)`, all that the timestep alone decides, and `starts(rows)`, one function (x,
time(t), ctx) -> h, c per row of a keep mask, which can leave out of c what only the residuals of
reused blocks would read. `frozen` hands them on.
"""

from functools import lru_cache
from typing import Any, Protocol

import torch

MOST_TIMESTEPS = 1024  # that `remembered` keeps; of each batch size


class Block(Protocol):
    macs: int
    feature_size: int

    def residual(self, h: Any, c: Any) -> Any: ...

    def add(self, h: Any, c: Any, out: Any) -> Any: ...


class Backbone(Protocol):
    blocks: list[Block]
    kinds: tuple[str, ...]
    in_channels: int
    sample_size: int
    guided_channels: int
    fixed_macs: int
    prompt_macs: int

    def with_null(self, cond: Any) -> Any: ...

    def prepare(self, cond: Any) -> Any: ...

    def start(self, x: Any, t: Any, ctx: Any) -> tuple[Any, Any]: ...

    def finish(self, h: Any, c: Any) -> Any: ...


def frozen(backbone, rows):
    """For weights that change no more -> time, starts: one start(x, time(t), ctx) per row of a keep
    mask, bit-identical.
    """
    if not hasattr(backbone, "starts"):
        return (lambda t: t), [backbone.start] * len(rows)
    return torch.no_grad()(backbone.time), backbone.starts(rows)


def remembered(time):
    """`time` of tensors that nobody writes into (denoise.constant): the same one is not looked at
    again.

    So what the timestep decides is computed once per schedule, in the autocast state of the first
    call.
    """
    return lru_cache(MOST_TIMESTEPS)(time)


def run_all(backbone, x, t, ctx):
    """The plain forward: everything computed, nothing cached."""
    h, c = backbone.start(x, t, ctx)
    for block in backbone.blocks:
        h = block.add(h, c, block.residual(h, c))
    return backbone.finish(h, c)
