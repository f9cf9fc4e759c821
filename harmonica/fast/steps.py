"""The specialised steps of one keep mask: one function per distinct row.

It computes the blocks that run and the gates of those that do not, and hands back only the features
that the next step reuses: between two steps nothing else is held (the live set, row t + 1 of
~keep). The cache is a list of N features or None; it is never changed, so an eager or compiled walk
can be forked.
"""

import itertools
import types

import torch

from harmonica.fast.start import Times, starts


class Plan:
    """The specialised steps of one mask. translate(function) -> function, or None: what becomes of
    each distinct row.
    """

    def __init__(self, backbone, keep, translate=None):
        self.backbone = backbone
        self.rows = [tuple(row) for row in keep.tolist()]
        self.reused = [
            [i for i, computed in enumerate(row) if not computed] for row in self.rows
        ] + [[]]
        self.held = [
            [i for i in self.reused[step + 1] if row[i]] for step, row in enumerate(self.rows)
        ]
        # one translation per row serves every step that has it: it hands back what any of them
        # holds
        if translate:
            self.held = [
                sorted({i for row, held in zip(self.rows, self.held) if row == own for i in held})
                for own in self.rows
            ]
        distinct = list(dict.fromkeys(self.rows))
        self.times = Times(backbone)
        start_of = dict(zip(distinct, starts(backbone, distinct)))
        functions = {}
        for row, held in zip(self.rows, self.held):
            if (row, *held) not in functions:
                function = row_function(backbone, start_of[row], row, held)
                functions[row, *held] = translate(function) if translate else function
        self.functions = [functions[row, *held] for row, held in zip(self.rows, self.held)]
        # per step what the next one reuses: block, and its place in what the function hands back
        # (None: held before)
        self.kept = [
            [(i, held.index(i) if i in held else None) for i in reused]
            for held, reused in zip(self.held, self.reused[1:])
        ]

    def row(self, step):
        """What step `step` computes: N bools."""
        return self.rows[step]

    def empty(self):
        """The cache before the first step."""
        return [None] * len(self.rows[0])

    def step(self, step, x, t, ctx, cache):
        """One call of the model. x (B, C, H, W), t (B,) model timesteps, ctx from backbone.prepare.

        Returns the raw output and the new cache.
        """
        return self.run(step, x, self.times.at(t), ctx, cache)

    @torch.no_grad()
    def run(self, step, x, time, ctx, cache):
        """As `step`, from what the plan's Times give for the timestep."""
        out, features = self.functions[step](x, time, ctx, [cache[i] for i in self.reused[step]])
        following = self.empty()
        for i, place in self.kept[step]:
            following[i] = cache[i] if place is None else features[place]
        return out, following


def row_function(backbone, start, row, held):
    """One row as a function of tensors alone.

    (x, time, ctx, features of the blocks that reuse) -> raw output, features of the blocks `held`.
    """
    hold = [i in held for i in range(len(row))]

    def step(x, time, ctx, reused):
        reused, features = iter(reused), []

        def at(i, compute):
            feature = compute() if row[i] else next(reused)
            if hold[i]:
                features.append(feature)
            return feature

        return backbone.through(*start(x, time, ctx), at), features

    return step


def compiled(function):
    """torch.compile of one row. A code object of its own, as torch keeps (and limits) what it
    compiled per code object; and a name of its own, by which it remembers sizes: those of another
    model would make it compile for any size, slower.
    """
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_names)}")
    own = types.FunctionType(code, function.__globals__, code.co_name, None, function.__closure__)
    return torch.compile(own, fullgraph=True)


_names = itertools.count()
