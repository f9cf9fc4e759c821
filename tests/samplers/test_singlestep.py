"""DPM-Solver++ singlestep: its times, its order on an ODE that can be solved, its formulas."""

import numpy as np
import pytest
import torch
from diffusers import DPMSolverSinglestepScheduler

from harmonica import samplers
from harmonica.errors import BadInput
from harmonica.samplers import singlestep
from harmonica.samplers.singlestep import alpha_sigma, log_snr, time_of

STEPS = (2, 4, 10, 20, 50)


def walked(num_steps, x, eps_of):
    """The end of a walk whose model is eps_of(x, timestep)."""
    sampler = samplers.load("dpm-singlestep")
    timesteps = sampler.timesteps(num_steps)
    state = sampler.init(timesteps)
    for step, t in enumerate(timesteps):
        x, state = sampler.step(state, eps_of(x, t), step, x)
    return x


@pytest.mark.parametrize("num_steps", STEPS)
def test_updates_are_evenly_spaced_in_time_and_middles_in_log_snr(num_steps):
    times = samplers.load("dpm-singlestep").timesteps(num_steps)
    assert len(times) == num_steps and times == sorted(times, reverse=True)
    begins = [*times[::2], 1.0]
    np.testing.assert_allclose(begins, np.linspace(1000, 1, num_steps // 2 + 1))
    for begin, middle, end in zip(begins, times[1::2], begins[1:]):
        np.testing.assert_allclose(2 * log_snr(middle), log_snr(begin) + log_snr(end), rtol=1e-9)


def test_the_noise_schedule_is_stable_diffusions():
    """Its alphas at whole times, those of diffusers' scheduler with the published settings."""
    settings = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    known = DPMSolverSinglestepScheduler(**settings).alphas_cumprod
    for n in (1, 2, 500, 999, 1000):
        alpha, sigma = alpha_sigma(n)
        assert alpha**2 == pytest.approx(float(known[n - 1]), rel=1e-4)
        assert alpha**2 + sigma**2 == pytest.approx(1, abs=1e-12)
        assert time_of(log_snr(n)) == pytest.approx(n, abs=1e-6)
    between = np.log(alpha_sigma(500.25)[0])
    ends = [np.log(alpha_sigma(n)[0]) for n in (500, 501)]
    assert between == pytest.approx(0.75 * ends[0] + 0.25 * ends[1])


def test_of_second_order():
    """Data from N(0, 0.25) have a known eps and a known solution: its error falls as T^-2."""

    def eps_of(x, t):
        alpha, sigma = alpha_sigma(t)
        return sigma * x / (alpha**2 / 4 + sigma**2)

    def spread(t):
        alpha, sigma = alpha_sigma(t)
        return (alpha**2 / 4 + sigma**2) ** 0.5

    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    exact = spread(1.0) / spread(1000.0)
    errors = [abs(float(walked(steps, x, eps_of)) - exact) for steps in (320, 640, 1280)]
    assert 3.2 < errors[0] / errors[1] < errors[1] / errors[2] < 4.5  # 4 in the limit


def test_an_update_is_that_of_diffusers_scheduler_between_the_same_times():
    """Its own list of timesteps is another one, so its two formulas are called with ours."""
    theirs = DPMSolverSinglestepScheduler(algorithm_type="dpmsolver++", solver_type="midpoint")
    generator = torch.Generator().manual_seed(0)
    x, first, second = torch.randn(3, 1, 4, 8, 8, generator=generator, dtype=torch.float64)
    sampler = samplers.load("dpm-singlestep")
    times = sampler.timesteps(10)
    for step in (0, 4, 8):
        at = [alpha_sigma(t) for t in (*times[step : step + 2], [*times, 1.0][step + 2])]
        theirs.sigmas = torch.tensor([sigma / alpha for alpha, sigma in at], dtype=torch.float64)
        theirs._step_index = 0
        x0 = (x - at[0][1] * first) / at[0][0]
        middle = theirs.dpm_solver_first_order_update(x0, sample=x)
        own, state = sampler.step(sampler.init(times), first, step, x)
        torch.testing.assert_close(own, middle, rtol=1e-6, atol=1e-6)
        theirs._step_index = 1
        x0s = [x0, (own - at[1][1] * second) / at[1][0]]
        end = theirs.singlestep_dpm_solver_second_order_update(x0s, sample=x)
        own, state = sampler.step(state, second, step + 1, own)
        torch.testing.assert_close(own, end, rtol=1e-6, atol=1e-6)


def test_a_walk_can_be_forked_anywhere_and_begun_where_an_update_begins():
    sampler = samplers.load("dpm-singlestep")
    times = sampler.timesteps(6)
    x, eps = torch.randn(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    state = sampler.init(times)
    middle, half = sampler.step(state, eps, 0, x)
    ends = [sampler.step(half, factor * eps, 1, middle)[0] for factor in (1, 2, 1)]
    assert torch.equal(ends[0], ends[2]) and not torch.equal(ends[0], ends[1])
    sampler.step(sampler.init(times), eps, 2, x)
    with pytest.raises(BadInput, match="a walk begins at an even step"):
        sampler.step(sampler.init(times), eps, 3, x)
    with pytest.raises(BadInput, match="num_steps: 7 .*two steps make one update: choose even"):
        sampler.timesteps(7)


def test_the_forward_process():
    x0, eps = torch.randn(2, 1, 1, 8, 8)
    alpha, sigma = alpha_sigma(731.5)
    noised = samplers.load("dpm-singlestep").noised(x0, eps, 731.5)
    torch.testing.assert_close(noised, alpha * x0 + sigma * eps)
    assert alpha_sigma(singlestep.TRAIN_STEPS)[0] < 0.07
