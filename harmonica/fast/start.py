"""The start of a step for weights that change no more.

A backbone may have `time(t)`, all that the timestep alone decides, `start_at(x, time(t), ctx)`, and
`starts(rows)`: one function (x, time(t), ctx) -> h, c per row of a keep mask, which can leave out
of c what only the blocks that reuse would read. Everything is bit-identical to `start`.
"""

import torch


def starts(backbone, rows):
    """One start(x, time, ctx) per row of a keep mask; `time` is what Times gives."""
    if hasattr(backbone, "starts"):
        return backbone.starts(rows)
    return [backbone.start] * len(rows)


class Times:
    """What the timestep alone decides, computed once per timestep, batch size and device."""

    def __init__(self, backbone):
        self.known = {}
        self.of = getattr(backbone, "time", lambda t: t)

    def __call__(self, timestep, count, device):
        """timestep: a number. Of a backbone without `time` it is the (count,) timesteps."""
        key = timestep, count, device
        if key not in self.known:
            self.known[key] = self.at(torch.full((count,), timestep, device=device))
        return self.known[key]

    @torch.no_grad()
    def at(self, t):
        """Of a tensor (B,), computed anew."""
        return self.of(t)
