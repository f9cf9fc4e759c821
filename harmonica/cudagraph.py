"""Plans as CUDA graphs: every distinct row is captured once per input shape and replayed on static buffers.

Inputs are copied into the buffers and the output out of them. A feature lives in one slot per block that is ever held,
written inside the graph that computes it and read by those that reuse it: so the slots are the union over the steps of
the live sets. One trajectory at a time: a step must be given the cache that the last one returned.
"""
import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from . import check
from .plan import Plan

WARM_UP = 3     # runs before a capture: libraries choose kernels and allocate workspaces in the first ones


class GraphPlan(Plan):
    """A Plan with captured steps. capture(function) -> (replay, what the function returned, in static memory)."""

    def __init__(self, backbone, keep, capture=None):
        super().__init__(backbone, keep, translate=lambda function: function)
        self.capture = capture or Capture()
        self.buffers, self.own, self.ctx, self.shape, self.cache = {}, None, None, None, None

    @torch.no_grad()
    def step(self, step, x, t, ctx, cache):
        """As Plan.step. BadInput where `cache` is not what the last step returned."""
        check(not self.reused[step] or cache is self.cache, "cache", "of another walk",
              "with CUDA graphs one trajectory is walked at a time: pass the cache that the last step returned")
        if ctx is not self.ctx or (x.shape, x.dtype) != self.shape:
            self.own, self.ctx, self.shape = self._buffers(x, t, ctx), ctx, (x.shape, x.dtype)
        own = self.own
        own.x.copy_(x)
        own.t.copy_(t)
        replay, out = own.graphs.get(self.functions[step]) or self._captured(step)
        replay()
        self.cache = self.empty()
        for i in self.reused[step + 1]:
            self.cache[i] = own.slots[i]
        return out.clone(), self.cache

    def _buffers(self, x, t, ctx):
        """The static buffers for inputs of these shapes, holding ctx."""
        key = tuple(getattr(leaf, attribute, None) for leaf in tree_leaves((x, t, ctx)) for attribute in ("shape", "dtype"))
        if key not in self.buffers:
            self.buffers[key] = Buffers(x, t, ctx)
        self.buffers[key].fill(ctx)
        return self.buffers[key]

    def _captured(self, step):
        own, function = self.own, self.functions[step]
        read = [own.slots[i] for i in self.reused[step]]

        def run():
            out, features = function(own.x, own.t, own.ctx, read)
            for i, feature in zip(self.held[step], features):
                own.slots.setdefault(i, torch.empty_like(feature)).copy_(feature)
            return out
        own.graphs[function] = self.capture(run)
        return own.graphs[function]


class Buffers:
    """Static inputs, feature slots (made when first written) and graphs for one set of shapes."""

    def __init__(self, x, t, ctx):
        leaves, self.spec = tree_flatten(ctx)
        self.leaves = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self.x, self.t, self.ctx = torch.empty_like(x), torch.empty_like(t), tree_unflatten(self.leaves, self.spec)
        self.slots, self.graphs = {}, {}

    def fill(self, ctx):
        for own, leaf in zip(self.leaves, tree_leaves(ctx)):
            if isinstance(own, torch.Tensor):
                own.copy_(leaf)


class Capture:
    """torch.cuda.CUDAGraph, all graphs of one plan in one memory pool: they never run at the same time."""

    def __init__(self):
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, function):
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
