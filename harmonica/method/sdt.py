"""Step-Wise Denoising Training (the paper's SDT): train the router by walking the whole trajectory,
as inference does.

Image-free: the walk starts from noise. At each step the teacher (everything computed) and the
student (outputs mixed with the cache by the router's row) see the same x_t; the row gets one
update; x_{t-1} comes from the STUDENT's output and the cache carries over, so that errors of
earlier reuse reach later steps during training. With IEPO the step's error is weighed by lambda,
what it costs in the final image (iepo.py); without, all steps weigh alike.
"""

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from harmonica.backbones import frozen, remembered
from harmonica.method.cache import mix


def walk(denoiser, x, learner, run=None):
    """One trajectory, T - 1 updates. x (B, C, H, W) ~ N(0, I); learner holds the rows, lambda,
    beta, the optimizer.
    """
    learn = update_by(denoiser, learner, run)
    point = denoiser.advance(
        denoiser.begin(x), denoiser.computed
    )  # the first step fills the cache: r = 1
    while point.step < len(denoiser.timesteps):
        point = denoiser.advance(point, learn)
    return point


def update_by(denoiser, learner, run=None):
    """-> the forward of one training step: teacher, student, one update; returns the student's
    output and cache.

    run: what `pair` gives (perhaps compiled, perhaps checkpointed), to be shared by many updates,
    as a pair may copy weights; by default a plain one of its own.
    """
    run = run or pair(denoiser.backbone)

    def learn(step, x, t, cache):
        r = learner.scores(step)
        teacher, student, mixed = run(x, t, denoiser.ctx, r, cache)
        teacher, student = denoiser.guided(teacher), denoiser.guided(student)
        learner.update(step, r, F.mse_loss(student.to(r.dtype), teacher.to(r.dtype)))
        write = (r > learner.tau).tolist()
        return student.detach(), [
            new if written else slot for new, written, slot in zip(mixed, write, cache)
        ]

    return learn


def pair(backbone, checkpointed=False, translate=None):
    """-> run(x, t, ctx, r, cache): teacher's and student's output, and the N detached mixes. The
    two share start and f_0(h).

    The weights change no more; t is of denoise.constant. r: (N,), with graph. checkpointed: the
    student's activations are not kept but computed again, with the same gradients.
    translate(function) -> function, or None: torch.compile, say.
    """
    blocks = [Checkpointed(block) for block in backbone.blocks] if checkpointed else backbone.blocks
    time, (start,) = frozen(backbone, [(True,) * len(blocks)])
    time = remembered(time)

    def both(x, time, ctx, r, cache):
        h, c = start(x, time, ctx)
        with torch.no_grad():
            first = blocks[0].residual(h, c)
            teacher = blocks[0].add(h, c, first)
            for block in backbone.blocks[1:]:
                teacher = block.add(teacher, c, block.residual(teacher, c))
            teacher = backbone.finish(teacher, c)
        h, mixed = mix([Known(blocks[0], first), *blocks[1:]], h, c, r, [True] * len(blocks), cache)
        return teacher, backbone.finish(h, c), mixed

    both = translate(both) if translate else both
    return lambda x, t, ctx, r, cache: both(x, time(t), ctx, r, cache)


class Known:
    """A block whose residual is there already."""

    def __init__(self, block, out):
        self.add, self.out = block.add, out

    def residual(self, h, c):
        return self.out


class Checkpointed:
    """A block that keeps for the backward pass what goes into its residual and comes out of it,
    nothing in between.
    """

    def __init__(self, block):
        self.block, self.add = block, block.add

    def residual(self, h, c):
        return checkpoint(self.block.residual, h, c, use_reentrant=False, preserve_rng_state=False)
