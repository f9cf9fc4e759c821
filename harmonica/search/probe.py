"""What every other choice at every step and block would do to the final image: one walk, one
backward pass per direction.

At step t block i adds a feature u to the stream. For a random direction v the backward pass gives g
= d<v, x_0> / du, where u is the feature AS USED AT STEP t: what is kept for later steps is another
node, as its later uses have a u of their own. An option of this entry with the value f would change
<v, x_0> by q = <g, f - u>. Computed features are known everywhere, at skipped entries without
gradient.

Memory is one step's graph and T x N features: each step is checkpointed, so its graph is built
again when the backward pass reaches it (skipped blocks are not computed again), and g is turned
into q on the spot.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.checkpoint import checkpoint

from harmonica.method import seeds
from harmonica.method.cache import predicted
from harmonica.search.predict import RIDGE, moments
from harmonica.search.quadratic import options, pairs
from harmonica.search.walks import uncached


def probe(walk, schedule, seed, indices, *, directions=2, window=8, paired=False):
    """Linearise the walk of some images around a schedule -> r (B, directions), Q (B, directions,
    T, options, N), for quadratic.Quadratic.

    paired: skipped entries are predicted, from one or two features, with weights that are fitted
    here for every option; else they reuse one feature. v is scaled such that the mean of r^2
    estimates the mean squared error of the latents.
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


def random_directions(seed, indices, like, count):
    """`count` times v ~ N(0, 1 / size of an image), one for each image."""
    rngs = seeds.generators(seeds.SEARCH, seed, 1, indices=indices)
    size = like[0].numel()
    return [seeds.normal(rngs, like.shape[1:]).to(like) / size**0.5 for _ in range(count)]


@dataclass(frozen=True)
class Held:
    """Of one block: the features that the schedule has computed, with graph; and what computing
    gave at each of the last steps, whether used or not. Newest first.
    """

    history: tuple = ()
    past: tuple = ()


class Linearised:
    """The policy that follows a schedule and, in the backward pass, records q of every option."""

    def __init__(self, schedule, count, window, paired, guided=None, offload=False):
        self.schedule, self.keep = schedule, schedule.keep.tolist()
        self.count, self.window, self.paired, self.guided = count, window, paired, guided
        self.offload, self.device = offload, None
        self.own = options(schedule.keep.T.numpy(), window, paired).T  # (T, N)
        self.pairs = pairs(window) if paired else []
        self.leaf = torch.zeros((), requires_grad=True)  # by which the graph is asked for
        self.start()

    def start(self):
        """Before each backward pass."""
        self.found = {}

    def changes(self):
        """(count, T, options, N) of the last backward pass; 0 where the image does not depend on an
        entry.
        """
        (T, N), some = self.schedule.keep.shape, next(iter(self.found.values()))
        Q = some.new_zeros(self.count, T, 1 + self.window + len(self.pairs), N)
        for (step, i), q in self.found.items():
            Q[:, step, :, i] = q
        return Q

    def __call__(self, step, call, state):
        state = state or [Held()] * len(self.keep[0])
        following, asked, runs = list(state), Counter(), []

        def skipped(i, compute):
            """What a skipped block would have computed; None when the graph is built again. A unit
            that is asked before its modules run (backbones.generic) is asked again there, too.
            """
            asked[i] += len(runs) == 1
            if len(runs) == 1 or asked[i] > 1:
                with torch.no_grad():
                    return compute()

        def at(i, compute):
            history = state[i].history
            if self.keep[step][i] or not history:  # as where a pass of the model begins later
                used = compute()
                new = tree_map(torch.Tensor.detach, used)
                history = (self.parked(used), *history[: self.schedule.features - 1])
            else:
                own, known = self.schedule.weights.get((step, i)), self.fetched(history)
                used = known[0] if own is None else predicted(own, known)
                new = skipped(i, compute)
            if len(runs) > 1:
                return self.tapped(used, None)
            self.device = tree_flatten(used)[0][0].device
            past = (self.parked(new), *state[i].past)
            following[i] = Held(history, past[: self.window])
            return self.tapped(used, Entry(self, step, i, past))

        def run():
            runs.append(None)
            return call(at)

        return checkpoint(run, use_reentrant=False, preserve_rng_state=False), following

    def parked(self, feature):
        """A feature that is kept for later steps, in CPU memory where the walk offloads."""
        return tree_map(torch.Tensor.cpu, feature) if self.offload else feature

    def fetched(self, features):
        """Features that were kept, back where the model computes."""
        return tree_map(lambda leaf: leaf.to(self.device), features) if self.offload else features

    def tapped(self, used, entry):
        leaves, spec = tree_flatten(used)
        return tree_unflatten(
            [
                Tap.apply(
                    leaf, self.leaf, entry and partial(entry.record, k, self.parked(leaf.detach()))
                )
                for k, leaf in enumerate(leaves)
            ],
            spec,
        )


class Tap(torch.autograd.Function):
    """The feature as it is; its gradient is shown to `record`. The leaf only asks for a graph."""

    @staticmethod
    def forward(ctx, feature, leaf, record):
        ctx.record = record
        return feature.view_as(feature)

    @staticmethod
    def backward(ctx, gradient):
        ctx.record(gradient)
        return gradient, torch.zeros(()), None


class Entry:
    """One step and block: the values of its options, and what a gradient says of them."""

    def __init__(self, linear, step, i, past):
        self.linear, self.key, self.own = linear, (step, i), linear.own[step, i]
        self.past = [tree_flatten(feature)[0] for feature in past]
        self.weights = None
        if linear.paired and step:
            leaves = range(len(self.past[0]))
            self.weights = [self.fitted(self.values(k)) for k in leaves]

    def values(self, k):
        """Leaf k of the features of ages 0, 1, ..."""
        return self.linear.fetched([feature[k] for feature in self.past])

    def fitted(self, values):
        """Weights of the options of this step -> first (.., channels), second, bias: ages 1 ..,
        then pairs.
        """
        mean, cov = moments(values, self.linear.guided)
        mean, cov = mean.T, cov.permute(1, 2, 0)  # ages first
        ages = torch.arange(1, len(values), device=mean.device)
        single = cov[ages, 0] / (cov[ages, ages] * (1 + RIDGE) + 1e-12)
        a, b = self.pairs_here()
        ridge = RIDGE * (cov[a, a] + cov[b, b]) / 2 + 1e-12
        aa, bb, ab, ay, by = cov[a, a] + ridge, cov[b, b] + ridge, cov[a, b], cov[a, 0], cov[b, 0]
        determinant = aa * bb - ab * ab
        first = torch.cat([single, (bb * ay - ab * by) / determinant])
        second = torch.cat([torch.zeros_like(single), (aa * by - ab * ay) / determinant])
        a, b = self.ages_of_options()
        bias = mean[0] - first * mean[a] - second * mean[b]
        wide = torch.promote_types(values[0].dtype, torch.float32)
        return [part.to(wide) for part in (first, second, bias)]

    def pairs_here(self):
        known = [(a, b) for a, b in self.linear.pairs if b < len(self.past)]
        return torch.tensor(known, dtype=torch.long).reshape(-1, 2).T

    def ages_of_options(self):
        """The ages of both features of ages 1 .. and then pairs; the second of a single is not
        used.
        """
        ages, (a, b) = torch.arange(1, len(self.past)), self.pairs_here()
        return torch.cat([ages, a]), torch.cat([ages, b])

    def record(self, k, used, gradient):
        """Add what leaf k of the feature tells to this entry's q (count, options)."""
        linear, values = self.linear, self.values(k)
        used = linear.fetched(used)
        q = self.of_predictions(k, values, used, gradient) if self.weights else None
        if q is None:
            q = torch.stack([channels(gradient, value - used).sum(1) for value in values], 1)
        q = q.unflatten(0, (-1, linear.count)).sum(0)
        whole = q.new_zeros(linear.count, 1 + linear.window + len(linear.pairs))
        ages = len(values)
        whole[:, :ages] = q[:, :ages]
        first_pair = 1 + linear.window
        whole[:, first_pair : first_pair + q.shape[1] - ages] = q[:, ages:]
        whole[:, self.own] = 0
        linear.found[self.key] = linear.found.get(self.key, 0) + whole

    def of_predictions(self, k, values, used, gradient):
        """(B, 1 + ages + pairs): as w_1 f_1 + w_2 f_2 + bias - u, all as differences from u."""
        first, second, bias = self.weights[k]
        a, b = self.ages_of_options()
        toward = torch.stack([channels(gradient, value - used) for value in values], 1)
        own, plain = channels(gradient, used), channels(gradient, None)
        q = (first * toward[:, a] + second * toward[:, b] + bias * plain[:, None]).sum(2)
        q = q + own @ (first + second - 1).T
        return torch.cat([toward[:, :1].sum(2), q], 1)


def channels(gradient, other):
    """sum over tokens of gradient x other (1 where None) -> (B, channels), in float32 at least."""
    wide = torch.promote_types(gradient.dtype, torch.float32)
    product = gradient.to(wide) if other is None else gradient.to(wide) * other.to(wide)
    return product.flatten(1, -2).sum(1) if product.ndim > 2 else product  # no tokens, or no images
