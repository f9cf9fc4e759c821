"""Plans as CUDA graphs: every step is captured once per input shape and replayed on static buffers.

Inputs are copied into the buffers, and the output out of them. A feature stays where the step that
computes it leaves it, and the graphs of the steps that reuse it read it there. The steps are
captured in their order, each while exactly the features that later steps need are alive; so they
take the memory of one walk. Therefore only one trajectory can be walked at a time, from the first
step on, and each step must get the cache that the step before returned.
"""

import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from harmonica.errors import check
from harmonica.fast.steps import Plan
from harmonica.method.cache import predicted

# Runs before the first capture, in which libraries choose kernels and allocate workspaces; before
# later ones a single run compiles what is new.
WARM_UP = 3


class GraphPlan(Plan):
    """A Plan whose steps are CUDA graphs. capture(function, device) -> (replay, the function's
    output in static memory), by default Capture. The caches that it returns are empty: they only
    tell which step comes next.
    """

    def __init__(self, backbone, schedule, capture=None, predict=predicted):
        super().__init__(backbone, schedule, predict=predict)
        self.capture = capture or Capture()
        self.buffers, self.current, self.ctx, self.shape = {}, None, None, None
        self.cache, self.next = None, 0

    @torch.inference_mode(False)  # a buffer made in inference mode cannot be written outside of it
    @torch.no_grad()
    def run(self, step, x, time, ctx, cache):
        """As Plan.run. BadInput where this is not the first step, and `cache` is not what the step
        before returned, for inputs of the same shapes.
        """
        same_inputs = ctx is self.ctx and (x.shape, x.dtype, x.device) == self.shape
        buffers = self.current if same_inputs else self._buffers(x, time, ctx)
        check(
            step == 0 or (cache is self.cache and buffers is self.current and step == self.next),
            "cache",
            "of another walk",
            "with CUDA graphs one trajectory is walked at a time: "
            "pass the cache that the last step returned",
        )
        if not same_inputs:
            self.current, self.ctx, self.shape = buffers, ctx, (x.shape, x.dtype, x.device)
            buffers.fixed.fill(ctx)
        buffers.moving.fill((x, time))
        if step == len(buffers.graphs):
            self._capture(step, x.device)
        replay, out = buffers.graphs[step]
        replay()
        self.cache, self.next = self.empty(), step + 1
        return out.clone(), self.cache

    def _buffers(self, x, time, ctx):
        """The static buffers for inputs of these shapes, on their devices."""
        leaves = tree_leaves((x, time, ctx))
        key = tuple(
            getattr(leaf, attribute, None)
            for leaf in leaves
            for attribute in ("shape", "dtype", "device")
        )
        if key not in self.buffers:
            self.buffers[key] = Buffers(x, time, ctx, self.empty())
        return self.buffers[key]

    def _capture(self, step, device):
        """Capture a step after all that come before it. Steps that neither read nor leave a feature
        share a graph if they share a function.
        """
        buffers, function, features = self.current, self.functions[step], []
        alone = not self.skipped[step] and not self.held[step]
        graph = buffers.alone.get(function) if alone else None
        if graph is None:
            cached = self.read(step, buffers.features)
            weights = self.weights_of(step, device)

            def run():
                return function(*buffers.moving.tree, buffers.fixed.tree, cached, weights)

            replay, (out, features) = self.capture(run, device)
            graph = replay, out
            if alone:
                buffers.alone[function] = graph
        buffers.features = self.after(step, buffers.features, features)
        buffers.graphs.append(graph)


class Buffers:
    """Static inputs for one set of shapes, and what is captured for them: the graphs of the steps
    so far, those of steps that read and leave no feature once more by their function, and the
    features that are alive after the last captured step.
    """

    def __init__(self, x, time, ctx, features):
        self.moving, self.fixed = Static((x, time)), Static(ctx)
        self.graphs, self.alone, self.features = [], {}, features


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
    """Captures functions as CUDA graphs. They share one memory pool, so those that hand tensors to
    each other must be replayed in the order of their capture, with no others in between.
    """

    def __init__(self):
        self.pool, self.warm_up = torch.cuda.graph_pool_handle(), WARM_UP

    def __call__(self, function, device):
        with torch.cuda.device(device):  # it may not be the current device
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(self.warm_up):
                    function()
            torch.cuda.current_stream().wait_stream(side)
            self.warm_up = 1
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):
                out = function()
        return graph.replay, out
