"""Learning-to-Cache (Ma et al., 2024), the baseline: "standard training" on noised real images, one
pair of steps at a time.

x_t comes from data by the forward process; one full step there fills the cache and gives x_{t-1};
teacher and student are compared on x_{t-1} alone, so an error never reaches a later step, and the
training images are needed. Released form: pairs do not overlap, so only every second step learns to
reuse. All-pairs form: every step after the first.

Where a sampler makes two calls of the model for one update (`calls`), x_t is noised to where the
update begins: its released form for U-ViT learns the first call of every update, after both calls
of the one before it.
"""

from harmonica.method.sdt import update_by


def trained_steps(num_steps, form, calls=1):
    """Sampling-order steps whose rows are trained; "released": the one where the last update begins
    and every second before it. calls: the sampler's.
    """
    if form not in ("released", "all-pairs"):
        raise ValueError(f"ltc form: {form!r} is not known; choose 'released' or 'all-pairs'")
    if form == "all-pairs":
        return list(range(1, num_steps))
    return list(range(num_steps - calls, 0, -2))[::-1]


def update_pair(denoiser, x0, eps, step, learner, pair=None):
    """One update of row `step` (>= 1). x0 (B, C, H, W) training images, eps their noise; no
    guidance. pair: as sdt's.
    """
    calls = denoiser.sampler.calls
    begun = (step - 1) // calls * calls
    noised = denoiser.sampler.noised(x0, eps, denoiser.timesteps[begun])
    point = denoiser.begin(noised, begun)
    while point.step < step:
        point = denoiser.advance(point, denoiser.computed)
    denoiser.advance(point, update_by(denoiser, learner, pair))
