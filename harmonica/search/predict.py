"""A skipped block's feature, predicted from its last computed ones; and the fit of the weights.

The prediction is w_1 f_1 + ... + w_K f_K + bias, per channel (method/schedule.py). The weights are
least squares along the schedule's own walk, step after step, so that later fits see what earlier
predictions did. No image and no label is needed: the walk's own features are the data.
"""

import torch
from torch.utils._pytree import tree_flatten

from harmonica.method import ranks
from harmonica.method.cache import predicted
from harmonica.method.schedule import Schedule

RIDGE = 1e-4  # of the inputs' mean variance


def fit(walk, keep, seed, indices, *, features=2, about=None):
    """Fit the weights of every skipped entry of keep (T, N) on one walk -> Schedule. On several
    ranks each walks indices of its own, and the fit is to all of them.
    """
    kept, weights, guided = keep.tolist(), {}, getattr(walk, "guided", None)

    def policy(step, call, state):
        state = list(state or [()] * len(kept[0]))

        def at(i, compute):
            feature = compute()
            if kept[step][i]:
                state[i] = (feature, *state[i][: features - 1])
                return feature
            if (step, i) not in weights:  # guidance's second call takes those of the first
                weights[step, i] = fitted(state[i], feature, features, guided)
            return predicted(weights[step, i], state[i])

        return call(at), state

    walk(policy, seed, indices)
    return Schedule(keep=keep, weights=weights, about=about or {})


def fitted(history, feature, features, guided=None):
    """-> float16 (features + 1, channels), zeros for features that are not there. guided: see
    moments.
    """
    inputs = [tree_flatten(one)[0] for one in history]
    parts = []
    for target, *known in zip(tree_flatten(feature)[0], *inputs):
        mean, cov = moments([*known, target], guided)
        weights = least_squares(cov[:, :-1, :-1], cov[:, :-1, -1])
        bias = mean[:, -1] - (weights * mean[:, :-1]).sum(1)
        absent = weights.new_zeros(features - len(known), len(weights))
        parts.append(torch.cat([weights.T, absent, bias[None]]))
    return torch.cat(parts, 1).half()


def moments(tensors, guided=None):
    """Means (channels, k) and covariances (channels, k, k) in float64 of k features, over samples,
    tokens and ranks.

    guided: what guidance makes of the samples of its two halves. The image sees this combination,
    in which errors that both halves share count once and others many times, so it is fitted too.
    """
    wide = torch.promote_types(tensors[0].dtype, torch.float32)
    if guided is not None:
        tensors = [torch.cat([tensor, guided(tensor)]) for tensor in tensors]
    data = torch.stack([tensor.to(wide).flatten(0, -2) for tensor in tensors])  # (k, n, channels)
    mean = data.mean(1, keepdim=True)
    data = (data - mean).permute(2, 0, 1)
    cov, mean = (data @ data.mT / data.shape[2]).double(), mean[:, 0].T.double()
    overall = ranks.mean(mean)
    apart = mean - overall
    return overall, ranks.mean(cov + apart[:, :, None] * apart[:, None])


def least_squares(gram, target):
    """gram (.., k, k), target (.., k) -> weights (.., k), a ridge added to the diagonal."""
    ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1) + 1e-12
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + ridge[..., None, None] * eye, target)
