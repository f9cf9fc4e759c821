"""The start of a step, for weights that no longer change: by the optional methods `time` and
`starts` of a backbone (see harmonica.backbones), which give the same bits as `start`.
"""

import torch


def starts(backbone, rows):
    """One start(x, time, ctx) per row of a keep mask; `time` comes from Times."""
    if hasattr(backbone, "starts"):
        return backbone.starts(rows)
    return [backbone.start] * len(rows)


class Times:
    """The backbone's time(t), computed once per timestep, batch size and device."""

    def __init__(self, backbone):
        self.known = {}
        self.of = getattr(backbone, "time", lambda t: t)

    def __call__(self, timestep, count, device):
        """time(t) for a timestep (a number) and a batch of `count`. For a backbone without `time`
        just the tensor of timesteps, (count,).
        """
        key = timestep, count, device
        if key not in self.known:
            self.known[key] = self.at(torch.full((count,), timestep, device=device))
        return self.known[key]

    @torch.no_grad()
    def at(self, t):
        """time(t) of a tensor (B,), computed each time."""
        return self.of(t)
