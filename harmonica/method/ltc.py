"""Learning-to-Cache (Ma et al., 2024), the baseline: "standard training" on noised real images, one
pair of steps at a time.

x_t comes from data by the forward process; one full step there fills the cache and gives x_{t-1};
teacher and student are compared on x_{t-1} alone, so an error never reaches a later step, and the
training images are needed. Released form: pairs do not overlap, so only every second step learns to
reuse. All-pairs form: every step after the first.
"""

from harmonica.method.sdt import update_by


def trained_steps(num_steps, form):
    """Sampling-order steps whose rows are trained; "released": the last step and every second
    before it.
    """
    if form not in ("released", "all-pairs"):
        raise ValueError(f"ltc form: {form!r} is not known; choose 'released' or 'all-pairs'")
    return list(range(num_steps - 1, 0, -2 if form == "released" else -1))[::-1]


def update_pair(denoiser, x0, eps, step, learner, pair=None):
    """One update of row `step` (>= 1). x0 (B, C, H, W) training images, eps their noise; no
    guidance. pair: as sdt's.
    """
    noised = denoiser.sampler.noised(x0, eps, denoiser.timesteps[step - 1])
    point = denoiser.advance(denoiser.begin(noised, step - 1), denoiser.computed)
    denoiser.advance(point, update_by(denoiser, learner, pair))
