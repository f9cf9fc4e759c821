"""Estimates what every other choice at every step and block would do to the final image, by one
walk and one backward pass per direction.

At step t block i adds a feature u to the stream. Along a random direction v the backward pass gives
g = d<v, x_0> / du. Here u is the feature AS USED AT STEP t; the one kept for later steps is another
node of the graph, as each later use has a u of its own. If the entry added f in place of u, then
<v, x_0> would change by q = <g, f - u>, to first order. To know f where blocks are skipped, these
are computed as well, without gradient.

Memory holds one step's graph and T x N features: each step is checkpointed, so its graph is built
again when the backward pass reaches it (without computing the skipped blocks again), and g is
turned into q at once.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.checkpoint import checkpoint

from harmonica.method import seeds
from harmonica.method.cache import predicted
from harmonica.search.entry import Entry
from harmonica.search.quadratic import options, pairs
from harmonica.search.walks import uncached


def probe(walk, schedule, seed, indices, *, directions, window, paired=False):
    """Linearise the walk of some images around a schedule -> r (B, directions), Q (B, directions,
    T, options, N), for quadratic.Quadratic.

    paired: skipped entries are predicted from one or two features, with weights that are fitted
    here for every option; else they reuse one feature. The directions v are scaled so that the mean
    of r^2 estimates the mean squared error of the latents.
    """
    target = walk(uncached, seed, indices)
    guided, offload = getattr(walk, "guided", None), getattr(walk, "offload", False)
    linear = Linearised(schedule, len(indices), window, paired, guided, offload)
    x = walk(linear, seed, indices, grad=True)
    r, Q = [], []
    for k, v in enumerate(random_directions(seed, indices, x.detach(), directions)):
        linear.start()
        torch.autograd.grad((v * x).sum(), linear.leaf, retain_graph=k < directions - 1)
        r.append((v * (x.detach() - target)).flatten(1).sum(1))
        Q.append(linear.changes())
    return torch.stack(r, 1), torch.stack(Q, 1)


def random_directions(seed, indices, latents, count):
    """`count` batches of directions like the latents, v ~ N(0, 1 / elements of an image)."""
    rngs = seeds.generators(seeds.SEARCH, seed, 1, indices=indices)
    size = latents[0].numel()
    return [seeds.normal(rngs, latents.shape[1:]).to(latents) / size**0.5 for _ in range(count)]


@dataclass(frozen=True)
class Held:
    """What is kept of one block, newest first. history: (step, feature) of the steps at which the
    schedule computes it, with graph. past: the computed feature of each of the last steps,
    detached, whether the schedule uses it or not.
    """

    history: tuple = ()
    past: tuple = ()


class Linearised:
    """The policy that follows a schedule and, in the backward pass, records q of every option.

    found: {(step, block): q (count, options)} of the last backward pass.
    """

    def __init__(self, schedule, count, window, paired, guided=None, offload=False):
        self.schedule, self.keep = schedule, schedule.keep.tolist()
        self.count, self.window, self.paired, self.guided = count, window, paired, guided
        self.offload, self.device = offload, None
        self.option = options(schedule.keep.T.numpy(), window, paired).T  # (T, N)
        self.pairs = pairs(window) if paired else []
        self.num_options = 1 + window + len(self.pairs)
        self.leaf = torch.zeros((), requires_grad=True)  # makes autograd build a graph, see Tap
        self.start()

    def start(self):
        """Forget what the last backward pass recorded."""
        self.found = {}

    def changes(self):
        """q of the last backward pass, (count, T, options, N); 0 where an entry has no effect."""
        T, N = self.schedule.keep.shape
        first = next(iter(self.found.values()))
        Q = first.new_zeros(self.count, T, first.shape[1], N)
        for (step, i), q in self.found.items():
            Q[:, step, :, i] = q
        return Q

    def __call__(self, step, call, state):
        state = state or [Held()] * len(self.keep[0])
        next_state = list(state)
        asked, runs = Counter(), []

        def skipped(i, compute):
            """What a skipped block would have computed. None when the step runs a second time,
            where it is not needed; but a unit that asks in advance (backbones.generic) asks twice
            per run if it is computed, and then has to be computed in the second run too.
            """
            asked[i] += len(runs) == 1
            if len(runs) == 1 or asked[i] > 1:
                with torch.no_grad():
                    return compute()

        def at(i, compute):
            history = state[i].history
            if self.keep[step][i] or not history:  # no history: a pass that begins at a later step
                feature = compute()
                new = tree_map(torch.Tensor.detach, feature)
                history = ((step, self.offloaded(feature)), *history[: self.schedule.features - 1])
            else:
                weights = self.schedule.weights.get((step, i))
                features = [self.loaded_back(old) for _, old in history]
                feature = features[0] if weights is None else predicted(weights, features)
                new = skipped(i, compute)
            if len(runs) > 1:
                return self.tapped(feature, None)
            self.device = tree_flatten(feature)[0][0].device
            past = (self.offloaded(new), *state[i].past)
            next_state[i] = Held(history, past[: self.window])
            return self.tapped(feature, Entry(self, step, i, past, history) if step else None)

        def run():
            runs.append(None)
            return call(at)

        return checkpoint(run, use_reentrant=False, preserve_rng_state=False), next_state

    def offloaded(self, feature):
        """A feature as it is kept for later steps: in CPU memory where the walk offloads."""
        return tree_map(torch.Tensor.cpu, feature) if self.offload else feature

    def loaded_back(self, features):
        """Kept features, moved back to the device on which the model computes."""
        return tree_map(lambda leaf: leaf.to(self.device), features) if self.offload else features

    def tapped(self, feature, entry):
        leaves, spec = tree_flatten(feature)
        recorders = [entry and partial(entry.record, k) for k in range(len(leaves))]
        tapped = [Tap.apply(leaf, self.leaf, recorder) for leaf, recorder in zip(leaves, recorders)]
        return tree_unflatten(tapped, spec)


class Tap(torch.autograd.Function):
    """The identity; its backward hands the gradient to `record`. The leaf requires grad, so that
    there is a graph even where no feature does.
    """

    @staticmethod
    def forward(ctx, feature, leaf, record):
        ctx.record = record
        return feature.view_as(feature)

    @staticmethod
    def backward(ctx, gradient):
        if ctx.record:
            ctx.record(gradient)
        return gradient, torch.zeros(()), None
