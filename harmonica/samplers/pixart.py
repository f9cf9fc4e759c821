"""The times of PixArt's own DPM-Solver++ and SA-Solver (scripts/inference.py of
github.com/PixArt-alpha/PixArt-alpha, and of PixArt-sigma), set on diffusers' schedulers.

diffusers rounds timesteps. In PixArt's code T steps lead evenly from t = 1 to t = 1e-3, and the
model is called at 1000 t - 1: for T = 20 at 999, 949.05, 899.1, ... Between the 1000 known values
log alpha is interpolated linearly. A walk ends at t = 1e-3, where a little noise is left.
"""

import numpy as np
import torch

from harmonica.samplers.ddim import TRAIN_STEPS, alphas_cumprod

STOCHASTIC = (199, 799)  # SA-Solver adds noise between t = 0.2 and 0.8; here as model timesteps


def of_dpm_solver(scheduler, num_steps):
    """With fewer than 10 steps the last one is of first order."""
    scheduler.register_to_config(lower_order_final=num_steps < 10)
    _set_times(scheduler, num_steps)


def of_sa_solver(scheduler, num_steps):
    """tau is 1 in a step that ends at a time between 0.2 and 0.8; in diffusers what counts is where
    the step begins.
    """
    _set_times(scheduler, num_steps)
    first, last = STOCHASTIC
    stride = (TRAIN_STEPS - 1) / num_steps
    scheduler.tau_func = lambda timestep: int(first <= timestep - stride <= last)


def _set_times(scheduler, num_steps):
    """Set a scheduler's timesteps and noise levels sigma / alpha for T steps, in float64."""
    scheduler.set_timesteps(num_steps)
    times = np.linspace(TRAIN_STEPS - 1, 0, num_steps + 1)
    log_alphas = np.interp(times, np.arange(TRAIN_STEPS), np.log(alphas_cumprod()))
    scheduler.timesteps = torch.from_numpy(times[:-1].copy())
    scheduler.sigmas = torch.from_numpy(np.expm1(-log_alphas) ** 0.5)
