"""Step-Wise Denoising Training (the paper's SDT): train the router by walking the trajectory.

No images are needed: the walk starts from noise. At each step the teacher (everything computed) and
the student (features mixed with the cache by the router's row) see the same x_t, and the row gets
one update. x_{t-1} comes from the STUDENT's output and the cache is carried over, so errors of
earlier reuse reach later steps, as in inference. With IEPO each step's error is weighted by lambda,
what it costs in the final image (iepo.py); otherwise all steps have the same weight.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from harmonica.method.cache import blended, mix


def walk(denoiser, x, learner, pair=None):
    """One trajectory, T - 1 updates.

    x (B, C, H, W) ~ N(0, I). learner holds the rows, lambda, beta and the optimizer. pair: as in
    update_by.
    """
    learn = update_by(denoiser, learner, pair)
    # the first step fills the cache: r = 1
    point = denoiser.advance(denoiser.begin(x), denoiser.computed)
    while point.step < len(denoiser.timesteps):
        point = denoiser.advance(point, learn)
    return point


def update_by(denoiser, learner, pair=None):
    """The forward of one training step: teacher, student, one update of the row. It returns the
    student's output and cache.

    pair(x, timestep, ctx, r, cache) -> raw outputs of teacher and student, the N mixed features. By
    default plain_pair below; fast/training.py has faster ones.
    """
    pair = pair or partial(plain_pair, denoiser.backbone)

    def learn(step, x, cache):
        r = learner.scores(step)
        teacher, student, mixed = pair(x, denoiser.timesteps[step], denoiser.ctx, r, cache)
        teacher, student = denoiser.guided(teacher), denoiser.guided(student)
        learner.update(step, r, F.mse_loss(student.to(r.dtype), teacher.to(r.dtype)))
        write = (r > learner.tau).tolist()
        slots = zip(mixed, write, cache)
        return student.detach(), [new if written else slot for new, written, slot in slots]

    return learn


def plain_pair(backbone, x, timestep, ctx, r, cache):
    """-> the raw outputs of teacher and student at a step, the student's N detached mixes."""
    t = torch.full((len(x),), timestep, device=x.device)
    return compare(backbone, *backbone.start(x, t, ctx), r, cache)


def compare(backbone, h, c, r, cache, recompute=False, blend=blended):
    """Teacher and student from one start. They share the first block's feature as well, since both
    compute it from the same input.

    r: (N,), requires grad. recompute: the student's activations are not stored but computed again
    in the backward pass, with the same gradients. blend: as in cache.mix. Returns as plain_pair.
    """
    first = []

    def of_teacher(i, compute):
        feature = compute()
        if i == 0:
            first.append(feature)
        return feature

    with torch.no_grad():
        teacher = backbone.through(h, c, of_teacher)
    mixed_at, mixed = mix(r, [True] * len(cache), cache, blend)

    def of_student(i, compute):
        if i == 0:
            return mixed_at(i, first.pop)
        return mixed_at(i, partial(_recomputed, compute) if recompute else compute)

    return teacher, backbone.through(h, c, of_student), mixed


def _recomputed(compute):
    # unpack a partial: its tensors have to be arguments for autograd's saved-tensor hooks to see
    function, inputs = (
        (compute.func, compute.args) if isinstance(compute, partial) else (compute, ())
    )
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
