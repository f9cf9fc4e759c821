"""The specialised steps of one schedule: one function per distinct row.

It computes the blocks that run, and the gates and sums of all blocks. A skipped block adds a cached
feature, or one predicted from its last computed features. Only features that later steps need are
held between steps. The cache is a list of N slots: None, or a tuple of the block's last computed
features, newest first, as many as needed. It never changes in place, so eager walks can be forked.
"""

import functools

import torch

from harmonica.method.cache import predicted

COMPUTED, REUSED = 0, 1  # codes of a row's entries; code -k: predicted from k features


class Plan:
    """The specialised steps of a Schedule. predict: method.cache.predicted, or a faster one."""

    def __init__(self, backbone, schedule, predict=predicted):
        self.backbone, self.predict = backbone, predict
        self.rows = [tuple(row) for row in schedule.keep.tolist()]
        self.codes = codes_of(schedule)
        self.depths = depths_of(self.codes)
        self.weights = [
            _of_step(step, codes, schedule.weights) for step, codes in enumerate(self.codes)
        ]
        self.on_device = {}
        self.skipped = [
            [(i, abs(code)) for i, code in enumerate(codes) if code != COMPUTED]
            for codes in self.codes
        ]
        self.held = [
            tuple(i for i, depth in enumerate(depths) if depth and row[i])
            for row, depths in zip(self.rows, self.depths)
        ]
        self.times = Times(backbone)
        self.functions = self._functions()
        # (block, how many of its features are held after the step)
        self.kept = [
            [(i, depth) for i, depth in enumerate(depths) if depth] for depths in self.depths
        ]

    def _functions(self):
        """One function per step; steps that compute and return the same blocks share it."""
        distinct = list(dict.fromkeys(self.rows))
        start_of = dict(zip(distinct, starts(self.backbone, distinct)))

        @functools.cache
        def function(row, codes, held):
            return row_function(self.backbone, start_of[row], codes, held, self.predict)

        return list(map(function, self.rows, self.codes, self.held))

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
        """The same as `step`, but takes `time`, what the plan's Times return for the timestep."""
        weights = self.weights_of(step, x.device)
        out, features = self.functions[step](x, time, ctx, self.read(step, cache), weights)
        return out, self.after(step, cache, features)

    def read(self, step, cache):
        """The features that a step's function reads."""
        return [feature for i, count in self.skipped[step] for feature in cache[i][:count]]

    def after(self, step, cache, features):
        """The cache after a step whose function returned these features."""
        next_cache, new = self.empty(), dict(zip(self.held[step], features))
        for i, depth in self.kept[step]:
            old = cache[i] or ()
            next_cache[i] = (new[i], *old[: depth - 1]) if i in new else old[:depth]
        return next_cache

    def weights_of(self, step, device):
        """The weights of a step's predicted entries on this device, in the order of the blocks."""
        if not self.weights[step]:
            return []
        if (step, device) not in self.on_device:
            self.on_device[step, device] = [tensor.to(device) for tensor in self.weights[step]]
        return self.on_device[step, device]


def held_features(schedule):
    """-> (T, N) int64: how many features of each block a plan holds before each step."""
    depths = depths_of(codes_of(schedule))
    return torch.tensor([[0] * schedule.num_blocks, *depths[:-1]])


def codes_of(schedule):
    """The codes of all steps: what each block does at each."""
    return [
        tuple(
            COMPUTED if computed else _code(schedule.weights.get((step, i)))
            for i, computed in enumerate(row)
        )
        for step, row in enumerate(schedule.keep.tolist())
    ]


def _code(weights):
    if weights is None:
        return REUSED
    used = weights[:-1].any(1).nonzero()
    return -(int(used[-1]) + 1 if len(used) else 1)


def _of_step(step, codes, weights):
    """The weights of a step's predicted entries, without features that are not used. In float32, as
    a prediction's terms nearly cancel each other.
    """
    return [
        weights[step, i][[*range(-code), -1]].float() for i, code in enumerate(codes) if code < 0
    ]


def depths_of(codes):
    """-> (T, N) lists: how many of each block's last computed features are held after each step."""
    depths = [[0] * len(codes[0])]
    for row in reversed(codes[1:]):
        next_depths = depths[-1]
        depths.append(
            [
                max(0, depth - 1) if code == COMPUTED else max(abs(code), depth)
                for code, depth in zip(row, next_depths)
            ]
        )
    return depths[::-1]


def row_function(backbone, start, codes, held, predict):
    """One row as a function of tensors only, which can be captured.

    (x, time, ctx, the features that the skipped blocks need, the weights of the predicted ones) ->
    raw output, features of the blocks `held`.
    """
    is_held = [i in held for i in range(len(codes))]

    def step(x, time, ctx, cached, weights):
        cached, weights = iter(cached), iter(weights)
        features = []

        def at(i, compute):
            if codes[i] == COMPUTED:
                feature = compute()
            elif codes[i] == REUSED:
                feature = next(cached)
            else:
                feature = predict(next(weights), [next(cached) for _ in range(-codes[i])])
            if is_held[i]:
                features.append(feature)
            return feature

        return backbone.through(*start(x, time, ctx), at), features

    return step


def starts(backbone, rows):
    """One start(x, time, ctx) per row of a keep mask, with the bits of the backbone's own start,
    for weights that no longer change; `time` comes from Times. See harmonica.backbones: its `time`
    and `starts` are optional.
    """
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
