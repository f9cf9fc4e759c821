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

from harmonica.method.together import Together


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
def leave_one_out(denoiser, x, scores, tau, together=1, distance=squared):
    """lambda as the paper defines it. x (B, C, H, W) noise; scores (T, N), soft or 0/1 -> (T,),
    squared norm, mean over images.

    0 at the first step, which never reuses. together: how many forks are walked as one batch.
    distance: `squared` as in the paper, or one of DISTANCES.
    """
    finals, last = _forks(
        denoiser, x, scores, tau, lambda joined: joined.soft(scores, tau), together
    )
    return torch.stack(
        [torch.zeros((), device=scores.device)]
        + [distance(denoiser.images(final), denoiser.images(last)) for final in finals]
    )


@torch.no_grad()
def cumulative(denoiser, x, scores, tau, together=1):
    """lambda as the released code has it -> (T,): the mean over all pixels and images and, under
    guidance, both halves. nan at step 0. Arguments as in leave_one_out.
    """
    finals, last = _forks(denoiser, x, scores, tau, lambda joined: joined.computed, together)
    chain = finals + [last]  # chain[k]: steps 1 to k follow the scores, all others compute
    return torch.stack(
        [torch.full((), torch.nan, device=scores.device)]
        + [(b.x - a.x).square().mean() for a, b in zip(chain, chain[1:])]
    )


DEFINITIONS = {"leave-one-out": leave_one_out, "cumulative": cumulative}


def _forks(denoiser, x, scores, tau, after, together):
    """-> the final Point of a walk for each step t >= 1, which follows the scores before t,
    computes everything at t and continues with `after`; and that of the walk that follows the
    scores throughout. after(denoiser) -> forward.
    """
    soft = denoiser.soft(scores, tau)
    point = denoiser.advance(denoiser.begin(x), denoiser.computed)
    finals = []
    forks = Together(denoiser, after)
    while point.step < len(denoiser.timesteps):
        forks.advance()
        forks.points.append(denoiser.advance(point, denoiser.computed))
        point = denoiser.advance(point, soft)
        if len(forks.points) == together or point.step == len(denoiser.timesteps):
            finals += forks.finish()
    return finals, point
