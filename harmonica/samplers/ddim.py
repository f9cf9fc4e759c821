"""DDIM with eta 0, as in the official DiT code and as in diffusers' DDIMScheduler."""

from dataclasses import dataclass

import numpy as np

TRAIN_STEPS = 1000


def alphas_cumprod():
    """DiT's linear schedule, betas 1e-4..0.02 over 1000 steps -> (1000,) float64."""
    return np.cumprod(1 - np.linspace(1e-4, 0.02, TRAIN_STEPS))


@dataclass(frozen=True)
class DDIM:
    """DDIM (Song et al., 2021) with eta 0, no clipping, final alpha 1, on an eps-prediction model.

    numerics "official": T timesteps evenly from 999 to 0; each step leads to the next of them, as
    in the official DiT. "diffusers": `leading` spacing, each step leads to t - 1000 // T, as in its
    DDIMScheduler.
    """

    numerics: str = "official"
    stochastic, calls = False, 1

    def timesteps(self, num_steps):
        """-> T model timesteps in sampling order (descending)."""
        if self.numerics == "official":
            spaced = _accumulated(num_steps)
        else:
            spaced = np.arange(num_steps) * (TRAIN_STEPS // num_steps)
        return [int(t) for t in spaced[::-1]]

    def init(self, timesteps):
        """-> the state: for each step the factors (f, g) of the update x' = f x + g eps."""
        a = alphas_cumprod()
        if self.numerics == "official":
            next_timesteps = list(timesteps[1:]) + [-1]
        else:
            next_timesteps = [t - TRAIN_STEPS // len(timesteps) for t in timesteps]
        return tuple(
            _factors(a[t], a[p] if p >= 0 else 1.0) for t, p in zip(timesteps, next_timesteps)
        )

    def step(self, state, out, step, x, noise=None):
        """out: model output (B, >= C, H, W), eps first; x (B, C, H, W) -> less noisy x, state."""
        of_x, of_eps = state[step]
        return of_x * x + of_eps * out[:, : x.shape[1]], state

    def noised(self, x0, eps, timestep):
        """The forward process q(x_t | x_0) at a model timestep."""
        a = alphas_cumprod()[timestep]
        return float(a**0.5) * x0 + float((1 - a) ** 0.5) * eps


def _accumulated(num_steps):
    """T timesteps from 0 to 999. As in the official code the stride is added up in floats and each
    sum is rounded; for 57 values of T up to 250, such as 39, this differs from round(linspace).
    """
    stride = (TRAIN_STEPS - 1) / max(num_steps - 1, 1)
    return np.insert(np.full(num_steps - 1, stride).cumsum(), 0, 0).round()


def _factors(a, a_next):
    return float((a_next / a) ** 0.5), float((1 - a_next) ** 0.5 - (a_next * (1 - a) / a) ** 0.5)
