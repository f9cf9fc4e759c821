"""Learning-to-Cache (Ma et al., 2024), the baseline: training on pairs of steps of real images.

x_t is a training image, noised by the forward process ("standard training"). One full step from it
fills the cache and gives x_{t-1}; teacher and student are compared on x_{t-1} alone. So an error
never reaches a later step, and training images are needed. In the released form pairs do not
overlap, so only every second step learns to reuse; in the all-pairs form every step after the first
does.

A sampler may call the model twice for one update of x (`calls`). Then x_t has the noise level at
which that update begins. In the released form for U-ViT the first call of every update learns to
reuse, after both calls of the update before it.
"""

from harmonica.method.sdt import update_by


def trained_steps(num_steps, form, calls):
    """The steps, in sampling order, whose rows are trained. form "all-pairs": all but the first;
    "released": the step at which the last update begins, and every second step before it. calls:
    the sampler's model calls per update.
    """
    if form == "all-pairs":
        return list(range(1, num_steps))
    return list(range(num_steps - calls, 0, -2))[::-1]


def update_pair(denoiser, x0, eps, step, learner, pair=None):
    """One update of row `step` (>= 1). x0 (B, C, H, W) training images, eps noise like x0; no
    guidance. pair: as in sdt.update_by.
    """
    calls = denoiser.sampler.calls
    start = (step - 1) // calls * calls
    noised = denoiser.sampler.noised(x0, eps, denoiser.timesteps[start])
    point = denoiser.begin(noised, start)
    while point.step < step:
        point = denoiser.advance(point, denoiser.computed)
    denoiser.advance(point, update_by(denoiser, learner, pair))
