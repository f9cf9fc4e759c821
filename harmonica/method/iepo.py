"""The Image Error Proxy (the paper's IEPO): lambda, what reuse at each step costs in the image.

    L^(t) = lambda^(t) * MSE(teacher, student) + beta * sum_i r_{t,i}

There are two definitions. The paper's leaves one step out: || x_0 - x_0^(t) ||_F^2, where x_0^(t)
reuses nothing at step t. The released code allows reuse at one step after another and takes the
mean squared difference of successive images.

Both compare walks that are the same before step t. So one walk follows the router throughout, and
at each step another walk branches off it. This gives the same images as walking each time from the
start, for about half of the work.
"""

import torch


def squared(images, others):
    """The paper's: the squared norm of the difference, mean over images."""
    return (images - others).square().sum() / len(images)


def absolute(images, others):
    """The sum of absolute differences, mean over images."""
    return (images - others).abs().sum() / len(images)


def relative(images, others):
    """The squared norm of the difference, divided by that of `others`, mean over images."""
    difference, size = (part.square().flatten(1).sum(1) for part in (images - others, others))
    return (difference / size).mean()


DISTANCES = {"absolute": absolute, "relative": relative}


@torch.no_grad()
def leave_one_out(denoiser, x, scores, tau, distance=squared):
    """lambda as the paper defines it. x (B, C, H, W) noise; scores (T, N), soft or 0/1 -> (T,),
    squared norm, mean over images.

    0 at the first step, which never reuses. distance: `squared` as in the paper, or one of
    DISTANCES.
    """
    soft = denoiser.soft(scores, tau)
    finals, last = _forks(denoiser, x, soft, after=soft)
    return torch.stack(
        [torch.zeros((), device=scores.device)]
        + [distance(denoiser.images(final), denoiser.images(last)) for final in finals]
    )


@torch.no_grad()
def cumulative(denoiser, x, scores, tau):
    """lambda as the released code has it -> (T,): the mean over all pixels and images and, under
    guidance, both halves. nan at step 0. Arguments as in leave_one_out.
    """
    finals, last = _forks(denoiser, x, denoiser.soft(scores, tau), after=denoiser.computed)
    chain = finals + [last]  # chain[k]: steps 1 to k follow the scores, all others compute
    return torch.stack(
        [torch.full((), torch.nan, device=scores.device)]
        + [(b.x - a.x).square().mean() for a, b in zip(chain, chain[1:])]
    )


DEFINITIONS = {"leave-one-out": leave_one_out, "cumulative": cumulative}


def _forks(denoiser, x, soft, after):
    """-> the final Point of a walk for each step t >= 1, which follows the scores before t (the
    forward `soft`), computes everything at t and continues with the forward `after`; and that of
    the walk that follows the scores throughout.
    """
    point = denoiser.advance(denoiser.begin(x), denoiser.computed)
    finals = []
    while point.step < len(denoiser.timesteps):
        finals.append(denoiser.walk(denoiser.advance(point, denoiser.computed), after))
        point = denoiser.advance(point, soft)
    return finals, point
