"""One step and block of a linearised walk: what its options would give, and what a gradient says of
them.

Every option, and the feature in use, is a weighted sum per channel of the same few features and of
1. So with G the gradient times each of these, summed over tokens, all the q of one entry are one
matrix product.
"""

import torch
from torch.utils._pytree import tree_flatten

from harmonica.search.predict import RIDGE, moments

ROWS = (
    512  # samples and tokens by which the weights of options are fitted: there are three a channel
)


class Entry:
    """linear: the probe.Linearised that this is an entry of. past: the features of ages 0, 1, ...;
    history: (step, feature) of those that the schedule has computed, newest first.
    """

    def __init__(self, linear, step, i, past, history):
        self.linear, self.key, self.own = linear, (step, i), int(linear.own[step, i])
        self.features = [tree_flatten(feature)[0] for feature in past]
        self.ages = len(past) - 1
        self.places = []  # of the schedule's own features among self.features
        for computed, feature in history:
            if step - computed > self.ages:
                self.features.append([leaf.detach() for leaf in tree_flatten(feature)[0]])
            self.places.append(min(step - computed, len(self.features) - 1))
        self.weights = None
        if linear.paired:
            leaves = range(len(self.features[0]))
            self.weights = [self.fitted(self.values(k)[: self.ages + 1]) for k in leaves]

    def values(self, k):
        """Leaf k of the features."""
        return self.linear.fetched([feature[k] for feature in self.features])

    def fitted(self, values):
        """Weights of the options of this step: of a first feature (.., channels), of a second,
        bias; for ages 1 .., then for pairs.
        """
        mean, cov = moments(values, self.linear.guided, ROWS)
        mean, cov = mean.T, cov.permute(1, 2, 0)  # ages first
        ages = torch.arange(1, len(values), device=mean.device)
        single = cov[ages, 0] / (cov[ages, ages] * (1 + RIDGE) + 1e-12)
        a, b = self.pairs_here()
        ridge = RIDGE * (cov[a, a] + cov[b, b]) / 2 + 1e-12
        aa, bb, ab, ay, by = cov[a, a] + ridge, cov[b, b] + ridge, cov[a, b], cov[a, 0], cov[b, 0]
        determinant = aa * bb - ab * ab
        first = torch.cat([single, (bb * ay - ab * by) / determinant])
        second = torch.cat([torch.zeros_like(single), (aa * by - ab * ay) / determinant])
        a, b = (torch.cat([torch.arange(1, len(values)), age]) for age in (a, b))
        bias = mean[0] - first * mean[a] - second * mean[b]
        wide = torch.promote_types(values[0].dtype, torch.float32)
        return [part.to(wide) for part in (first, second, bias)]

    def pairs_here(self):
        """The ages (a, b) of two features that are there by this step."""
        known = [(a, b) for a, b in self.linear.pairs if b <= self.ages]
        return torch.tensor(known, dtype=torch.long).reshape(-1, 2).T

    def record(self, k, gradient):
        """Add what leaf k of the feature tells to this entry's q, (count, options)."""
        values, linear = self.values(k), self.linear
        wide = torch.promote_types(gradient.dtype, torch.float32)
        gradient = gradient.to(wide)
        G = [over_tokens(gradient * value.to(wide)) for value in values]
        G = torch.stack([*G, over_tokens(gradient)], 1)  # (B, features + 1, channels)
        matrix = self.matrix(k, G)
        q = (G.flatten(1) @ matrix.flatten(0, 1)).unflatten(0, (-1, linear.count)).sum(0)
        linear.found[self.key] = linear.found.get(self.key, 0) + q

    def matrix(self, k, G):
        """(features + 1, channels, options): the weights of each option less those in use."""
        matrix = G.new_zeros(*G.shape[1:], self.linear.num_options)
        matrix[0, :, 0] = 1
        singles = torch.arange(1, self.ages + 1)
        if self.weights is None:
            matrix[singles, :, singles] = 1
        else:
            a, b = self.pairs_here()
            paired = 1 + self.linear.window + torch.arange(len(a))
            option = torch.cat([singles, paired])
            first, second, bias = self.weights[k]
            matrix[torch.cat([singles, a]), :, option] = first
            matrix[b, :, paired] = second[self.ages :]
            matrix[-1, :, option] = bias.T
        own = self.in_use(k, G)
        matrix[:, :, self.own] = own
        return matrix - own[..., None]

    def in_use(self, k, G):
        """(features + 1, channels): the feature in use as such a sum."""
        own = G.new_zeros(G.shape[1:])
        weights = self.linear.schedule.weights.get(self.key)
        if weights is None:
            own[self.places[0]] = 1
            return own
        weights = weights.split([leaf.shape[-1] for leaf in self.features[0]], 1)[k].to(own)
        for place, weight in zip(self.places, weights):
            own[place] += weight
        own[-1] = weights[-1]
        return own


def over_tokens(product):
    """(B, .., channels) -> (B, channels); what has no tokens is as it is."""
    return product.flatten(1, -2).sum(1) if product.ndim > 2 else product
