"""Plans as CUDA graphs: every distinct row is captured once per input shape and replayed on static
buffers.

Inputs are copied into the buffers, and the output out of them. Every block whose features are ever
reused has static memory for them ("slots"): the graph that computes the block writes there, and the
graphs that reuse it read there. Therefore only one trajectory can be walked at a time: each step
must get the cache that the step before returned.
"""

import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from harmonica.errors import check
from harmonica.fast.steps import Plan
from harmonica.method.cache import predicted

# Runs before a capture: in the first ones libraries choose kernels and allocate workspaces.
WARM_UP = 3


class GraphPlan(Plan):
    """A Plan whose steps are CUDA graphs. capture(function, device) -> (replay, the function's
    output in static memory), by default Capture.
    """

    def __init__(self, backbone, keep, weights=None, capture=None, predict=predicted):
        super().__init__(backbone, keep, weights, lambda row: row, predict)
        self.deepest = [max(column) for column in zip(*self.depths)]
        self.capture = capture or Capture()
        self.buffers, self.current, self.ctx, self.shape, self.cache = {}, None, None, None, None

    @torch.inference_mode(False)  # a buffer made in inference mode cannot be written outside of it
    @torch.no_grad()
    def run(self, step, x, time, ctx, cache):
        """As Plan.run. BadInput where `cache` is needed but is not what the last call returned, for
        inputs of the same shapes.
        """
        same_inputs = ctx is self.ctx and (x.shape, x.dtype, x.device) == self.shape
        buffers = self.current if same_inputs else self._buffers(x, time, ctx)
        check(
            not self.skipped[step] or cache is self.cache and buffers is self.current,
            "cache",
            "of another walk",
            "with CUDA graphs one trajectory is walked at a time: pass the cache that the last "
            "step returned",
        )
        if not same_inputs:
            self.current, self.ctx, self.shape = buffers, ctx, (x.shape, x.dtype, x.device)
            buffers.fixed.fill(ctx)
        buffers.moving.fill((x, time))
        buffers.age(i for i in self.held[step] if self.deepest[i] > 1)
        replay, out = buffers.graphs.get(self._key(step)) or self._captured(step)
        replay()
        self.cache = self.empty()
        for i, _, depth in self.kept[step]:
            self.cache[i] = tuple(buffers.slots[i][:depth])
        return out.clone(), self.cache

    def _key(self, step):
        """Steps share a graph if they share a function and have no prediction weights."""
        return self.functions[step], step if self.weights[step] else None

    def _buffers(self, x, time, ctx):
        """The static buffers for inputs of these shapes, on their devices."""
        leaves = tree_leaves((x, time, ctx))
        key = tuple(
            getattr(leaf, attribute, None)
            for leaf in leaves
            for attribute in ("shape", "dtype", "device")
        )
        if key not in self.buffers:
            self.buffers[key] = Buffers(x, time, ctx)
        return self.buffers[key]

    def _captured(self, step):
        buffers, function = self.current, self.functions[step]
        device = self.current.moving.leaves[0].device
        read = [slot for i, count in self.skipped[step] for slot in buffers.slots[i][:count]]
        weights = self.weights_of(step, device)

        def run():
            out, features = function(*buffers.moving.tree, buffers.fixed.tree, read, weights)
            for i, feature in zip(self.held[step], features):
                if i not in buffers.slots:
                    buffers.slots[i] = [torch.zeros_like(feature) for _ in range(self.deepest[i])]
                buffers.slots[i][0].copy_(feature)
            return out

        buffers.graphs[self._key(step)] = self.capture(run, device)
        return buffers.graphs[self._key(step)]


class Buffers:
    """Static inputs, feature slots (made when first written) and graphs for one set of shapes."""

    def __init__(self, x, time, ctx):
        self.moving, self.fixed = Static((x, time)), Static(ctx)
        self.slots, self.graphs = {}, {}

    def age(self, blocks):
        """Shift the stored features of blocks that are about to compute: the last becomes the one
        before. Not part of a graph, because a capture runs its function several times.
        """
        for slots in (self.slots[i] for i in blocks if i in self.slots):
            for older, newer in zip(slots[:0:-1], slots[-2::-1]):
                older.copy_(newer)


class Static:
    """Copies of a structure's tensors at fixed addresses. `fill` copies new values into them."""

    def __init__(self, tree):
        leaves, spec = tree_flatten(tree)
        self.leaves = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self.tree = tree_unflatten(self.leaves, spec)

    def fill(self, tree):
        for static, leaf in zip(self.leaves, tree_leaves(tree)):
            if isinstance(static, torch.Tensor):
                static.copy_(leaf)


class Capture:
    """Captures functions as CUDA graphs. All graphs of a plan share one memory pool, as they never
    run at the same time.
    """

    def __init__(self):
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, function, device):
        with torch.cuda.device(device):  # it may not be the current device
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
