"""PixArt's own DPM-Solver++ and SA-Solver: the published formulas written out, numbers of its code,
and its IDDPM.
"""

import math

import numpy as np
import pytest
import torch

from harmonica import samplers
from harmonica.samplers import ddim

OWN = ("dpm++-pixart", "sa-solver-pixart")
# The ends of walks of T steps from START, as PixArt's own code computes them in float32
START = torch.cos(torch.arange(4.0)).reshape(1, 1, 2, 2)
ENDS = {
    ("dpm++-pixart", 9): [28.025318, 2.8760498, -1.5676146, -27.081781],
    ("dpm++-pixart", 20): [26.319902, 2.8757679, -1.6273417, -25.410861],
    ("sa-solver-pixart", 9): [-0.52575207, 0.29783976, 0.26257351, 0.40791249],
    ("sa-solver-pixart", 20): [6.8205304, 0.53255707, -0.24748760, -5.0316234],
}


def eps_of(x, timestep):
    return torch.tanh(x * (0.3 + timestep / 1500))


def noise(step):
    return torch.sin(torch.arange(1.0, 5.0) + 3 * step).reshape(1, 1, 2, 2)


def walk(name, num_steps, x):
    sampler = samplers.load(name)
    timesteps = sampler.timesteps(num_steps)
    state = sampler.init(timesteps)
    for step, timestep in enumerate(timesteps):
        x, state = sampler.step(state, eps_of(x, timestep), step, x, noise(step))
    return x


class Times:
    """t_i = 1 - i (1 - 1e-3) / T, with alpha, sigma and lambda = log(alpha / sigma) at each: the
    logarithm of alpha is known at n / 1000, n = 1..1000, and linear in between.
    """

    def __init__(self, num_steps):
        self.t = [1 - i * (1 - 1e-3) / num_steps for i in range(num_steps + 1)]
        known = 0.5 * np.log(1 - np.linspace(1e-4, 0.02, 1000)).cumsum()
        log_alphas = [float(np.interp(t, np.arange(1, 1001) / 1000, known)) for t in self.t]
        self.alpha = [math.exp(at) for at in log_alphas]
        self.sigma = [math.sqrt(1 - alpha**2) for alpha in self.alpha]
        self.lambda_ = [math.log(a / s) for a, s in zip(self.alpha, self.sigma)]

    def x0(self, i, x):
        """The data prediction at t_i; the model is asked at 1000 (t - 1 / 1000)."""
        return (x - self.sigma[i] * eps_of(x, 1000 * (self.t[i] - 1e-3))) / self.alpha[i]


def dpm_solver(num_steps, x):
    """Algorithm 2 of the DPM-Solver++ paper (2M). Below 10 steps the last is of first order."""
    at, x0s = Times(num_steps), []
    for i in range(1, num_steps + 1):
        x0s.append(at.x0(i - 1, x))
        h, used = at.lambda_[i] - at.lambda_[i - 1], x0s[-1]
        if i > 1 and not (num_steps < 10 and i == num_steps):
            r = (at.lambda_[i - 1] - at.lambda_[i - 2]) / h
            used = (1 + 1 / (2 * r)) * x0s[-1] - 1 / (2 * r) * x0s[-2]
        x = at.sigma[i] / at.sigma[i - 1] * x - at.alpha[i] * math.expm1(-h) * used
    return x


def sa_solver(num_steps, x):
    """SA-Solver's predictor and corrector of order 2 for few steps (its appendix D), predict,
    evaluate, correct. With s the last time and q = 1 + tau^2 both are

        x_t = e^(-tau^2 h) sigma_t / sigma_s x_s + alpha_t ((1 - e^(-q h)) x0_s + q h^2 / 2 D)
              + sigma_t sqrt(1 - e^(-2 tau^2 h)) noise,

    D the slope of x0 over lambda, between s and the time before, or s and t.
    """
    at, before = Times(num_steps), None
    x0 = at.x0(0, x)
    for i in range(1, num_steps + 1):
        h = at.lambda_[i] - at.lambda_[i - 1]
        tau = 1 if 0.2 <= at.t[i] <= 0.8 else 0

        def update(slope):
            drift = -math.expm1(-(1 + tau**2) * h) * x0 + (1 + tau**2) * h**2 / 2 * slope
            spread = at.sigma[i] * math.sqrt(-math.expm1(-2 * tau**2 * h))
            kept = math.exp(-(tau**2) * h) * at.sigma[i] / at.sigma[i - 1]
            return kept * x + at.alpha[i] * drift + spread * noise(i - 1)

        first = before is None or i == num_steps
        slope = 0 * x if first else (x0 - before) / (at.lambda_[i - 1] - at.lambda_[i - 2])
        predicted = update(slope)
        if i == num_steps:
            return predicted
        found = at.x0(i, predicted)
        x, before, x0 = update((found - x0) / h), x0, found


FORMULAS = {"dpm++-pixart": dpm_solver, "sa-solver-pixart": sa_solver}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("num_steps", [20, 25, 7])
def test_the_model_is_asked_at_even_fractions_from_999(name, num_steps):
    timesteps = samplers.load(name).timesteps(num_steps)
    expected = [1000 * t - 1 for t in Times(num_steps).t[:-1]]
    np.testing.assert_allclose(timesteps, expected, rtol=0, atol=1e-9)
    assert timesteps[0] == 999
    if num_steps == 20:
        np.testing.assert_allclose(timesteps[1:3] + timesteps[-1:], [949.05, 899.1, 49.95])


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("num_steps", [2, 3, 9, 10, 12, 15, 20, 25])
def test_walks_are_those_of_the_published_formulas(name, num_steps):
    """Also where tau and the last order change, below and from 10 steps on."""
    expected = FORMULAS[name](num_steps, START.double())
    got = walk(name, num_steps, START)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, num_steps", ENDS)
def test_walks_end_where_those_of_pixarts_code_do(name, num_steps):
    expected = torch.tensor(ENDS[name, num_steps])
    torch.testing.assert_close(
        walk(name, num_steps, START).flatten(), expected, rtol=2e-5, atol=2e-5
    )


@pytest.mark.parametrize("name", OWN)
def test_they_differ_from_diffusers_own(name):
    own, theirs = (walk(which, 20, START) for which in (name, name.removesuffix("-pixart")))
    assert (own - theirs).abs().max() > 1e-3 * theirs.abs().max()


@pytest.mark.parametrize("name", OWN)
def test_a_walk_forks_anywhere_and_draws_no_noise_of_its_own(name):
    sampler, num_steps = samplers.load(name), 12
    assert sampler.stochastic == (name == "sa-solver-pixart")
    timesteps = sampler.timesteps(num_steps)
    x, state, points = START, sampler.init(timesteps), []
    for step, timestep in enumerate(timesteps):
        points.append((x, state))
        x, state = sampler.step(state, eps_of(x, timestep), step, x, noise(step))
    for begin in (7, 0, 11, 3):
        again, state = points[begin]
        for step in range(begin, num_steps):
            out = eps_of(again, timesteps[step])
            again, state = sampler.step(state, out, step, again, noise(step))
        assert torch.equal(again, x)


@pytest.mark.parametrize("name", OWN)
def test_the_forward_process_at_a_fraction(name):
    """Between two timesteps log alpha is linear; at a whole one it is the known one."""
    sampler, x0, eps = samplers.load(name), START, noise(0)
    known = ddim.alphas_cumprod()
    for timestep, a in (
        (500, known[500]),
        (949.25, known[949] ** 0.75 * known[950] ** 0.25),
        (999.0, known[999]),
    ):
        expected = float(a**0.5) * x0 + float((1 - a) ** 0.5) * eps
        torch.testing.assert_close(sampler.noised(x0, eps, timestep), expected)


def test_iddpm_has_the_official_list_of_timesteps_for_every_number_of_steps():
    """PixArt's IDDPM respaces as DDIM's official list is made; diffusers' own rounding differs at
    57 numbers of steps.
    """
    iddpm, official = samplers.load("iddpm"), samplers.load("ddim")
    for num_steps in range(1, 251):
        assert iddpm.timesteps(num_steps) == official.timesteps(num_steps)
    assert iddpm.timesteps(39)[19] == 499
