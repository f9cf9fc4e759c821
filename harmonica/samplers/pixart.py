"""DPM-Solver++ and SA-Solver on the times of PixArt's own code (scripts/inference.py of
github.com/PixArt-alpha/PixArt-alpha, and of PixArt-sigma), made by diffusers' schedulers.

Where diffusers rounds timesteps, there T steps lead evenly from t = 1 to t = 1e-3, and the model is
asked at 1000 t - 1: at T = 20 these are 999, 949.05, 899.1, ... The logarithm of alpha is linear
between the 1000 known ones. A walk ends at t = 1e-3, where a little noise is left.
"""

import numpy as np
import torch

from harmonica.samplers.ddim import TRAIN_STEPS, alphas_cumprod
from harmonica.samplers.scheduled import LINEAR, from_scheduler

STOCHASTIC = (199, 799)  # model timesteps of t = 0.2 and 0.8, between which SA-Solver adds noise


def dpm_solver():
    """DPM-Solver++ (Lu et al., 2022), multistep, of second order to the end; the last one of fewer
    than 10 steps is of first order.
    """
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="sigma_min", **LINEAR
    )

    def prepare(scheduler, num_steps):
        scheduler.register_to_config(lower_order_final=num_steps < 10)
        _set_times(scheduler, num_steps)

    return from_scheduler(scheduler, prepare)


def sa_solver():
    """SA-Solver (Xue et al., 2023), predictor and corrector of order 2. tau is 1 in a step that
    leads to a time between 0.2 and 0.8; diffusers goes by where a step begins.
    """
    from diffusers import SASolverScheduler

    scheduler = SASolverScheduler(
        predictor_order=2, corrector_order=2, algorithm_type="data_prediction", **LINEAR
    )

    def prepare(scheduler, num_steps):
        _set_times(scheduler, num_steps)
        least, most = STOCHASTIC
        stride = (TRAIN_STEPS - 1) / num_steps
        scheduler.tau_func = lambda timestep: int(least <= timestep - stride <= most)

    return from_scheduler(scheduler, prepare)


def _set_times(scheduler, num_steps):
    """Timesteps and noise levels sigma / alpha of T steps, in float64."""
    scheduler.set_timesteps(num_steps)
    times = np.linspace(TRAIN_STEPS - 1, 0, num_steps + 1)
    log_alphas = np.interp(times, np.arange(TRAIN_STEPS), np.log(alphas_cumprod()))
    scheduler.timesteps = torch.from_numpy(times[:-1].copy())
    scheduler.sigmas = torch.from_numpy(np.expm1(-log_alphas) ** 0.5)
