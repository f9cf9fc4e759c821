"""Fits the weights by which a skipped block's feature is predicted from its last computed ones.

The prediction is w_1 f_1 + ... + w_K f_K + bias, per channel (method/schedule.py). The weights are
fitted by least squares along a walk that follows the schedule, step after step, so later fits see
the effect of earlier predictions. No training data is needed: the walk's features are the data.
"""

import torch
from torch.utils._pytree import tree_flatten

from harmonica.method import ranks
from harmonica.method.cache import predicted
from harmonica.method.schedule import Schedule

FEATURES = 2  # K: how many of its last computed features a block is predicted from
RIDGE = 1e-4  # times the mean variance of the inputs


def fit(walk, keep, seed, *batches):
    """Fit the weights of every skipped entry of keep (T, N), on one walk for each of these batches
    of image indices -> Schedule.

    The weights are fitted to the images of all batches and ranks, although a walk's own predictions
    come from a fit to its batch alone.
    """
    fits = [Fit(walk, keep, seed, indices) for indices in batches]
    weights = {
        entry: solved([fit.seen[entry] for fit in fits])
        for entry in (fits[0].weights if len(fits) > 1 else ())
    }
    return Schedule(keep=keep, weights=weights or fits[0].weights)


class Fit:
    """The fit on one walk. weights: {(step, block): weights} of the skipped entries, fitted step
    after step. seen: {(step, block): the moments of the features that they were fitted by}.
    """

    def __init__(self, walk, keep, seed, indices):
        self.kept, self.guided = keep.tolist(), getattr(walk, "guided", None)
        self.weights, self.seen = {}, {}
        walk(self.follow, seed, indices)

    def follow(self, step, call, state):
        state = list(state or [()] * len(self.kept[0]))

        def at(i, compute):
            feature = compute()
            entry = step, i
            if self.kept[step][i] or not state[i]:
                state[i] = (feature, *state[i][: FEATURES - 1])
                return feature
            if entry not in self.weights:  # a second call, for guidance, uses the first one's fit
                self.seen[entry] = self.moments(state[i], feature)
                self.weights[entry] = solved([self.seen[entry]])
            return predicted(self.weights[entry], state[i])

        return call(at), state

    def moments(self, history, feature):
        """The moments of a feature and the last computed ones, for each of its tensors."""
        leaves = zip(tree_flatten(feature)[0], *(tree_flatten(old)[0] for old in history))
        return [moments([*past, target], self.guided) for target, *past in leaves]


def solved(of_walks):
    """The weights of one entry from the moments of several walks -> float16 (FEATURES + 1,
    channels), 0 for features that do not exist yet.
    """
    parts = []
    for leaves in zip(*of_walks):
        mean, cov = pooled(leaves)
        weights = least_squares(cov[:, :-1, :-1], cov[:, :-1, -1])
        bias = mean[:, -1] - (weights * mean[:, :-1]).sum(1)
        absent = weights.new_zeros(FEATURES - weights.shape[1], len(weights))
        parts.append(torch.cat([weights.T, absent, bias[None]]))
    return torch.cat(parts, 1).half()


def pooled(parts):
    """The mean and covariance of all data, from those of several equally large parts."""
    if len(parts) == 1:
        return parts[0]
    means, covs = (torch.stack(values) for values in zip(*parts))
    deviations = means - means.mean(0)
    return means.mean(0), (covs + deviations[..., :, None] * deviations[..., None]).mean(0)


def moments(tensors, guided=None, rows=None):
    """-> means (channels, k) and covariances (channels, k, k) in float64 of k features, over
    samples, tokens and ranks.

    guided: a function that applies guidance to the two halves of the samples. Its result is added
    to the data, as that is what reaches the image: an error that both halves share counts once
    there, a difference between them many times. rows: about how many samples x tokens are used,
    evenly spread; by default all.
    """
    wide = torch.promote_types(tensors[0].dtype, torch.float32)
    if guided is not None:
        tensors = [torch.cat([tensor, guided(tensor)]) for tensor in tensors]
    tensors = [tensor.flatten(0, -2) for tensor in tensors]
    # an odd stride visits every token, also where their number is a power of two
    stride = 1 if rows is None else max(1, len(tensors[0]) // rows) | 1
    data = torch.stack([tensor[::stride].to(wide) for tensor in tensors])  # (k, n, channels)
    mean = data.mean(1, keepdim=True)
    data = (data - mean).permute(2, 0, 1).contiguous()
    cov, mean = (data @ data.mT / data.shape[2]).double(), mean[:, 0].T.double()
    overall = ranks.mean(mean)
    deviations = mean - overall
    return overall, ranks.mean(cov + deviations[:, :, None] * deviations[:, None])


def least_squares(gram, target):
    """Solve gram (.., k, k) weights = target (.., k), with a ridge on the diagonal -> (.., k)."""
    ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1) + 1e-12
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + ridge[..., None, None] * eye, target)
