"""One step and block of a linearised walk: turns its feature's gradient into q of every option.

Every option, and the feature in use, is per channel a weighted sum of the same few features and of
the constant 1. Let G be the gradient times each of these, summed over tokens: then all q of an
entry are one matrix product of G and the weights.
"""

import torch
from torch.utils._pytree import tree_flatten

from harmonica.search.predict import RIDGE, moments

# Samples x tokens that the options' weights are fitted on: enough for three numbers per channel.
ROWS = 512


class Entry:
    """linear: the probe.Linearised it belongs to. past: the computed features of ages 0, 1, ... in
    steps. history: (step, feature) of those that the schedule has computed, newest first.
    """

    def __init__(self, linear, step, i, past, history):
        self.linear, self.key, self.option = linear, (step, i), int(linear.option[step, i])
        self.features = [tree_flatten(feature)[0] for feature in past]
        self.ages = len(past) - 1
        self.places = []  # where the features in `history` are among self.features
        for computed, feature in history:
            if step - computed > self.ages:
                self.features.append([leaf.detach() for leaf in tree_flatten(feature)[0]])
            self.places.append(min(step - computed, len(self.features) - 1))
        self.weights = None
        if linear.paired:
            leaves = range(len(self.features[0]))
            self.weights = [self.fitted(self.values(k)[: self.ages + 1]) for k in leaves]

    def values(self, k):
        """Tensor k of each feature (a feature may be a tuple of tensors)."""
        return self.linear.loaded_back([feature[k] for feature in self.features])

    def fitted(self, values):
        """-> the weights of the first feature, of the second and the bias, each (options,
        channels): the options are ages 1, 2, ... (second weight 0), then pairs of ages.
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
        """The pairs of ages (a, b) that exist at this step -> (2, pairs)."""
        pairs = [(a, b) for a, b in self.linear.pairs if b <= self.ages]
        return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T

    def record(self, k, gradient):
        """Add the contribution of tensor k of the feature to this entry's q, (count, options)."""
        values = self.values(k)
        linear = self.linear
        wide = torch.promote_types(gradient.dtype, torch.float32)
        gradient = gradient.to(wide)
        G = [over_tokens(gradient * value.to(wide)) for value in values]
        G = torch.stack([*G, over_tokens(gradient)], 1)  # (B, features + 1, channels)
        matrix = self.matrix(k, G)
        q = (G.flatten(1) @ matrix.flatten(0, 1)).unflatten(0, (-1, linear.count)).sum(0)
        linear.found[self.key] = linear.found.get(self.key, 0) + q

    def matrix(self, k, G):
        """(features + 1, channels, options): each option's weights, minus those in use."""
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
        in_use = self.in_use(k, G)
        matrix[:, :, self.option] = in_use
        return matrix - in_use[..., None]

    def in_use(self, k, G):
        """(features + 1, channels): the weights of the feature in use."""
        in_use = G.new_zeros(G.shape[1:])
        weights = self.linear.schedule.weights.get(self.key)
        if weights is None:
            in_use[self.places[0]] = 1
            return in_use
        weights = weights.split([leaf.shape[-1] for leaf in self.features[0]], 1)[k].to(in_use)
        for place, weight in zip(self.places, weights):
            in_use[place] += weight
        in_use[-1] = weights[-1]
        return in_use


def over_tokens(product):
    """Sum over tokens, (B, .., channels) -> (B, channels)."""
    return product.flatten(1, -2).sum(1) if product.ndim > 2 else product
