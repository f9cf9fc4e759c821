"""DPM-Solver++ (Lu et al., 2022), singlestep, of second order, in continuous time: U-ViT's sampler.

Two model calls make one update of the ODE, from time s over s1, the middle in log-SNR, to t:

    x_s1 = (sigma_s1 / sigma_s) x_s - alpha_s1 (exp(-h / 2) - 1) x0(x_s, s)
    x_t  = (sigma_t  / sigma_s) x_s - alpha_t  (exp(-h) - 1)     x0(x_s1, s1)

where h = lambda_t - lambda_s, lambda = log(alpha / sigma). A schedule counts each call as a step:
even steps are at the times s, evenly spaced, odd ones at the middles. log alpha is interpolated
linearly between Stable Diffusion's 1000 discrete values, the n-th at time n. So the model is called
at fractional timesteps between 1000 and 1, and the walk ends at 1.
"""

import numpy as np

from harmonica.errors import check
from harmonica.samplers.ddim import TRAIN_STEPS

END = 1.0


def log_alphas():
    """log alpha at the times 1..1000, float64: sqrt(beta) is linear, beta from 0.00085 to 0.012."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, TRAIN_STEPS) ** 2
    return 0.5 * np.log(1 - betas).cumsum()


def log_alpha(t):
    """log alpha at times between 1 and 1000, interpolated linearly."""
    return np.interp(t, np.arange(1, TRAIN_STEPS + 1), log_alphas())


def log_snr(t):
    """lambda = log(alpha / sigma)."""
    log_a = log_alpha(t)
    return log_a - 0.5 * np.log(-np.expm1(2 * log_a))


def time_of(lambda_):
    """The time at which log_snr has this value."""
    log_a = -0.5 * np.logaddexp(0, -2 * lambda_)
    return np.interp(log_a, log_alphas()[::-1], np.arange(TRAIN_STEPS, 0, -1))


class Singlestep:
    """The sampler contract (see harmonica.samplers). A walk may begin at any even step."""

    stochastic, calls = False, 2

    def timesteps(self, num_steps):
        """-> T model timesteps in sampling order, descending, as floats. T must be even."""
        check(num_steps % 2 == 0, "num_steps", num_steps, "two steps make one update: choose even")
        times = np.linspace(TRAIN_STEPS, END, num_steps // 2 + 1)
        lambdas = log_snr(times)
        middles = time_of((lambdas[:-1] + lambdas[1:]) / 2)
        return np.stack([times[:-1], middles], axis=1).flatten().tolist()

    def init(self, timesteps):
        """-> the state: for each step (alpha, sigma, the factors of x_s and of x0 in its update);
        and x_s, which an even step leaves for the odd step after it, None before.
        """
        return tuple(
            _factors(list(timesteps) + [END], step) for step in range(len(timesteps))
        ), None

    def step(self, state, out, step, x, noise=None):
        """out: model output (B, >= C, H, W), eps first; x (B, C, H, W) -> the next x, state."""
        factors, begin_x = state
        alpha, sigma, of_begun, of_x0 = factors[step]
        x0 = (x - sigma * out[:, : x.shape[1]]) / alpha
        if step % 2 == 0:
            return of_begun * x + of_x0 * x0, (factors, x)
        check(begin_x is not None, "step", step, "a walk begins at an even step")
        return of_begun * begin_x + of_x0 * x0, (factors, None)

    def noised(self, x0, eps, timestep):
        """The forward process q(x_t | x_0) at a model timestep."""
        alpha, sigma = alpha_sigma(timestep)
        return alpha * x0 + sigma * eps


def alpha_sigma(t):
    """alpha and sigma at a time, as Python floats."""
    at = log_alpha(t)
    return float(np.exp(at)), float(np.sqrt(-np.expm1(2 * at)))


def _factors(times, step):
    begin = step - step % 2
    h = log_snr(times[step + 1]) - log_snr(times[begin])
    alpha, sigma = alpha_sigma(times[step])
    next_alpha, next_sigma = alpha_sigma(times[step + 1])
    of_begun = next_sigma / alpha_sigma(times[begin])[1]
    return alpha, sigma, of_begun, float(-next_alpha * np.expm1(-h))
