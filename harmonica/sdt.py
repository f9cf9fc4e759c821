"""Step-Wise Denoising Training (the paper's SDT): train the router by walking the whole trajectory, as inference does.

Image-free: the walk starts from noise. At each step the teacher (everything computed) and the student (outputs mixed
with the cache by the router's row) see the same x_t; the row gets one update; x_{t-1} comes from the STUDENT's output
and the cache carries over, so that errors of earlier reuse reach later steps during training. With IEPO the step's
error is weighed by lambda, what it costs in the final image (iepo.py); without, all steps weigh alike.
"""
import torch
import torch.nn.functional as F

from .cache import compute_or_reuse, mix


def walk(denoiser, x, learner):
    """One trajectory, T - 1 updates. x (B, C, H, W) ~ N(0, I); learner holds the rows, lambda, beta, the optimizer."""
    learn = update_by(denoiser, learner)
    point = denoiser.advance(denoiser.begin(x), denoiser.computed)       # the first step fills the cache: r = 1
    while point.step < len(denoiser.timesteps):
        point = denoiser.advance(point, learn)
    return point


def update_by(denoiser, learner):
    """-> the forward of one training step: teacher, student, one update; returns the student's output and cache."""
    blocks = denoiser.blocks

    def learn(step, x, t, cache):
        h, c = denoiser.start(x, t)
        with torch.no_grad():
            computed, _ = compute_or_reuse(blocks, h, c, [True] * len(blocks), cache)
            teacher = denoiser.finish(computed, c)
        r = learner.scores(step)
        mixed, cache = mix(blocks, h, c, r, (r > learner.tau).tolist(), cache)
        student = denoiser.finish(mixed, c)
        learner.update(step, r, F.mse_loss(student, teacher))
        return student.detach(), cache
    return learn
