"""The one view of a diffusion transformer that everything here runs over: a start, then N blocks
that each add a feature.

    cond = backbone.with_null(cond)      under guidance: the batch, then as many null conditions
    ctx  = backbone.prepare(cond)        once per trajectory: what no step changes
    h, c = backbone.start(x, t, ctx)     once per step; t is a (B,) tensor of model timesteps
    out  = backbone.through(h, c, at)    all blocks, then the finish: the raw model output

Every cacheable block asks `at(i, compute)` for the feature that it adds. compute() gives its own:
norm, modulation, attention or feed-forward, before the gate. Gate and sum are the backbone's and
always run; so are long skips, pairs of streams and whatever else a family has. Learned-sigma
channels are part of the output, guidance is not the backbone's.

All of it is pure: nothing is kept on modules, nothing is written in place.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch

At = Callable[[int, Callable[[], Any]], Any]


class Backbone(Protocol):
    """kinds: what each transformer block's cacheable units are called, in turn. num_blocks: N.
    guided_channels: how many of the output's first channels classifier-free guidance acts on.
    sample_size: height and width of x.
    """

    kinds: tuple[str, ...]
    num_blocks: int
    in_channels: int
    sample_size: int
    guided_channels: int

    def with_null(self, cond: Any) -> Any: ...

    def prepare(self, cond: Any) -> Any: ...

    def start(self, x: torch.Tensor, t: torch.Tensor, ctx: Any) -> tuple[Any, Any]: ...

    def through(self, h: Any, c: Any, at: At) -> torch.Tensor: ...
