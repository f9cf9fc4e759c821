"""DDIM as the official DiT has it, and as diffusers' DDIMScheduler has it; they differ in timesteps
and in the update.
"""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from harmonica import samplers
from harmonica.samplers import ddim

STEPS = (2, 5, 6, 7, 10, 20, 50)


def scheduler(num_steps):
    """With the settings of the converted DiT pipeline."""
    scheduler = DDIMScheduler(
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="epsilon",
    )
    scheduler.set_timesteps(num_steps)
    return scheduler


def test_official_timesteps_are_those_of_the_accumulated_stride():
    """The official code adds its stride up in floats, which at 57 numbers of steps is not
    round(linspace): at T = 39, a row of the paper, step 19 is timestep 499, not 500.
    """
    differing = []
    for num_steps in range(2, 251):
        place, expected = 0.0, []
        for _ in range(num_steps):
            expected.append(round(place))
            place += 999 / (num_steps - 1)
        assert samplers.load("ddim").timesteps(num_steps) == expected[::-1]
        if expected != np.linspace(0, 999, num_steps).round().astype(int).tolist():
            differing.append(num_steps)
    assert len(differing) == 57 and differing[:5] == [21, 23, 31, 35, 39]
    assert samplers.load("ddim").timesteps(39)[19] == 499
    twenty = samplers.load("ddim").timesteps(20)
    assert twenty[:3] + twenty[-3:] == [999, 946, 894, 105, 53, 0]


@pytest.mark.parametrize("num_steps", STEPS)
def test_the_official_update_is_ddim_between_neighbours_on_the_list(num_steps):
    """x_0 from eps, then noised to the following timestep by the same eps; the last step gives x_0
    itself.
    """
    sampler, a = samplers.load("ddim"), ddim.alphas_cumprod()
    timesteps = sampler.timesteps(num_steps)
    x, eps = torch.randn(2, 2, 4, 8, 8, dtype=torch.float64)
    state = sampler.init(timesteps)
    for step, t in enumerate(timesteps):
        x0 = (x - (1 - a[t]) ** 0.5 * eps) / a[t] ** 0.5
        noised = sampler.noised(x0, eps, timesteps[step + 1]) if step + 1 < num_steps else x0
        got, state = sampler.step(
            state, torch.cat([eps, eps], dim=1), step, x
        )  # learned sigma is dropped
        torch.testing.assert_close(got, noised, rtol=1e-12, atol=1e-12 * float(x0.abs().max()))
    torch.testing.assert_close(
        sampler.noised(x, eps, 999), a[999] ** 0.5 * x + (1 - a[999]) ** 0.5 * eps
    )


@pytest.mark.parametrize("num_steps", STEPS)
def test_diffusers_numerics_are_its_scheduler(num_steps):
    sampler, theirs = samplers.load("ddim-diffusers"), scheduler(num_steps)
    timesteps = sampler.timesteps(num_steps)
    assert timesteps == theirs.timesteps.tolist()
    x, state = torch.randn(2, 4, 8, 8), sampler.init(timesteps)
    own = x
    for step, t in enumerate(timesteps):
        eps = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(step))
        x = theirs.step(eps, t, x, eta=0.0).prev_sample
        own, state = sampler.step(state, eps, step, own)
    assert (own - x).abs().max() / x.abs().max() < 2e-5  # their alphas are float32


def test_the_two_differ_in_timesteps_and_in_the_update():
    official, diffusers = samplers.load("ddim"), samplers.load("ddim-diffusers")
    for num_steps in (10, 20):
        timesteps = official.timesteps(num_steps)
        assert timesteps != diffusers.timesteps(num_steps)
        # diffusers' rule on the official list: the wrong previous timestep at every transition
        wrong = [a - 1000 // num_steps != b for a, b in zip(timesteps, timesteps[1:])]
        assert sum(wrong) >= num_steps - 2
        factors = np.array(official.init(timesteps)), np.array(diffusers.init(timesteps))
        assert np.abs(factors[0] - factors[1]).max() > 1e-3


def test_an_unknown_sampler_is_named():
    with pytest.raises(ValueError, match="sampler: 'dimm' is not known; choose one of"):
        samplers.load("dimm")
