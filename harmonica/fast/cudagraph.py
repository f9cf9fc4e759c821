"""Plans as CUDA graphs: every distinct row is captured once per input shape and replayed on static
buffers.

Inputs are copied into the buffers and the output out of them. A feature lives in one slot per block
that is ever held, written inside the graph that computes it and read by those that reuse it: so the
slots are the union over the steps of the live sets. One trajectory at a time: a step must be given
the cache that the last one returned.
"""

import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from harmonica.errors import check
from harmonica.fast.steps import Plan
from harmonica.method.cache import predicted

WARM_UP = (
    3  # runs before a capture: libraries choose kernels and allocate workspaces in the first ones
)


class GraphPlan(Plan):
    """A Plan with captured steps. capture(function, device) -> (replay, what the function returned,
    in static memory).
    """

    def __init__(self, backbone, keep, weights=None, capture=None, predict=predicted):
        super().__init__(backbone, keep, weights, lambda row: row, predict)
        self.deepest = [max(column) for column in zip(*self.depths)]
        self.capture = capture or Capture()
        self.buffers, self.own, self.ctx, self.shape, self.cache = {}, None, None, None, None

    @torch.inference_mode(False)  # tensors made inside it could not be written into outside
    @torch.no_grad()
    def run(self, step, x, time, ctx, cache):
        """As Plan.run. BadInput where `cache` is not what the last step returned, for this shape
        of x.
        """
        known = ctx is self.ctx and (x.shape, x.dtype) == self.shape
        own = self.own if known else self._buffers(x, time, ctx)
        check(
            not self.skipped[step] or cache is self.cache and own is self.own,
            "cache",
            "of another walk",
            "with CUDA graphs one trajectory is walked at a time: pass the cache that the last "
            "step returned",
        )
        if not known:
            self.own, self.ctx, self.shape = own, ctx, (x.shape, x.dtype)
            own.fixed.fill(ctx)
        own.moving.fill((x, time))
        own.age(i for i in self.held[step] if self.deepest[i] > 1)
        replay, out = own.graphs.get(self._key(step)) or self._captured(step)
        replay()
        self.cache = self.empty()
        for i, _, depth in self.kept[step]:
            self.cache[i] = tuple(own.slots[i][:depth])
        return out.clone(), self.cache

    def _key(self, step):
        """Steps share a graph where they share a function and have no weights of their own."""
        return self.functions[step], step if self.weights[step] else None

    def _buffers(self, x, time, ctx):
        """The static buffers for inputs of these shapes."""
        leaves = tree_leaves((x, time, ctx))
        key = tuple(
            getattr(leaf, attribute, None) for leaf in leaves for attribute in ("shape", "dtype")
        )
        if key not in self.buffers:
            self.buffers[key] = Buffers(x, time, ctx)
        return self.buffers[key]

    def _captured(self, step):
        own, function, device = self.own, self.functions[step], self.own.moving.leaves[0].device
        read = [slot for i, count in self.skipped[step] for slot in own.slots[i][:count]]
        weights = self.weights_of(step, device)

        def run():
            out, features = function(*own.moving.tree, own.fixed.tree, read, weights)
            for i, feature in zip(self.held[step], features):
                if i not in own.slots:
                    own.slots[i] = [torch.zeros_like(feature) for _ in range(self.deepest[i])]
                own.slots[i][0].copy_(feature)
            return out

        own.graphs[self._key(step)] = self.capture(run, device)
        return own.graphs[self._key(step)]


class Buffers:
    """Static inputs, feature slots (made when first written) and graphs for one set of shapes."""

    def __init__(self, x, time, ctx):
        self.moving, self.fixed = Static((x, time)), Static(ctx)
        self.slots, self.graphs = {}, {}

    def age(self, blocks):
        """Before blocks compute anew: what they computed last becomes the one before. Not part of
        a graph, as a capture runs it several times.
        """
        for slots in (self.slots[i] for i in blocks if i in self.slots):
            for older, newer in zip(slots[:0:-1], slots[-2::-1]):
                older.copy_(newer)


class Static:
    """Tensors of its own in a structure like the given one."""

    def __init__(self, tree):
        leaves, spec = tree_flatten(tree)
        self.leaves = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self.tree = tree_unflatten(self.leaves, spec)

    def fill(self, tree):
        for own, leaf in zip(self.leaves, tree_leaves(tree)):
            if isinstance(own, torch.Tensor):
                own.copy_(leaf)


class Capture:
    """torch.cuda.CUDAGraph, all graphs of one plan in one memory pool: they never run at the same
    time.
    """

    def __init__(self):
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, function, device):
        with torch.cuda.device(device):  # perhaps not the current one
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    function()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):
                out = function()
        return graph.replay, out
