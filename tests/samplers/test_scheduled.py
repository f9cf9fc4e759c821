"""DPM-Solver++, IDDPM and SA-Solver are diffusers' schedulers, as pure functions that fork."""

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    SASolverScheduler,
    UniPCMultistepScheduler,
)

from harmonica import samplers
from harmonica.errors import BadInput
from harmonica.samplers import LINEAR, ddim

SCHEDULERS = {
    "dpm++": lambda: DPMSolverMultistepScheduler(**LINEAR),
    "iddpm": lambda: DDPMScheduler(
        variance_type="learned_range", timestep_spacing="linspace", clip_sample=False
    ),
    "sa-solver": lambda: SASolverScheduler(),
}
OTHERS = {
    "ddim": lambda: DDIMScheduler(),
    "unipc": lambda: UniPCMultistepScheduler(solver_order=3),
    "karras": lambda: DPMSolverMultistepScheduler(use_karras_sigmas=True, solver_order=3),
    "sde": lambda: DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver++", euler_at_final=True
    ),
    "leading": lambda: DPMSolverMultistepScheduler(timestep_spacing="leading", steps_offset=1),
    "ddpm": lambda: DDPMScheduler(variance_type="fixed_small"),
}
ALL = {**SCHEDULERS, **OTHERS}


def drawn(step, shape, dtype=torch.float32):
    """What a scheduler draws from generator(step)."""
    return torch.randn(shape, generator=generator(step), dtype=dtype)


def generator(step):
    return torch.Generator().manual_seed(100 + step)


def outs(step, batch=2, dtype=torch.float32):
    return torch.randn(batch, 8, 6, 6, generator=torch.Generator().manual_seed(step)).to(dtype)


def walk(sampler, x, num_steps, begin=0, state=None, dtype=None):
    state = sampler.init(sampler.timesteps(num_steps)) if state is None else state
    for step in range(begin, num_steps):
        x, state = sampler.step(
            state, outs(step, len(x), x.dtype), step, x, drawn(step, x.shape, dtype or x.dtype)
        )
    return x


@pytest.mark.parametrize("num_steps", [1, 2, 5, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("name", ALL)
def test_each_is_diffusers_scheduler_called_plainly(name, dtype, num_steps):
    scheduler = ALL[name]()
    sampler = samplers.load(name) if name in SCHEDULERS else samplers.Scheduled(scheduler)
    scheduler.set_timesteps(num_steps)
    assert sampler.timesteps(num_steps) == scheduler.timesteps.tolist()
    given = x = drawn(-1, (2, 4, 6, 6), dtype)
    takes = 8 if name == "iddpm" else 4  # the pipelines drop the learned variance
    for step, t in enumerate(scheduler.timesteps):
        draws = {} if name in ("ddim", "unipc") else {"generator": generator(step)}
        x = scheduler.step(outs(step, dtype=dtype)[:, :takes], t, x, **draws).prev_sample
    if not (num_steps == 1 and x.isnan().any()):  # one step is not defined for all of them
        assert torch.equal(
            walk(sampler, given, num_steps, dtype=torch.float32 if name == "sde" else dtype), x
        )


@pytest.mark.parametrize("name", ALL)
def test_a_fork_is_the_walk_from_the_start(name):
    sampler, num_steps = samplers.Scheduled(ALL[name]()), 7
    start = drawn(-1, (2, 4, 6, 6))
    end, points = (
        walk(sampler, start, num_steps),
        [(start, sampler.init(sampler.timesteps(num_steps)))],
    )
    for step in range(num_steps):
        x, state = points[-1]
        x_kept = x.clone()
        points.append(sampler.step(state, outs(step), step, x, drawn(step, x.shape)))
        astray, _ = sampler.step(
            state, -outs(step), step, x, drawn(step, x.shape)
        )  # another future from here
        assert torch.equal(x, x_kept) and not torch.equal(astray, points[-1][0])
    for step in (3, 0, 6, 5, 1):  # in any order, and again
        assert torch.equal(walk(sampler, points[step][0], num_steps, step, points[step][1]), end)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_sample_does_not_depend_on_the_batch(name):
    sampler, num_steps = samplers.load(name), 6
    xs = drawn(-1, (3, 4, 6, 6))

    def alone(i):
        x, state = xs[i : i + 1], sampler.init(sampler.timesteps(num_steps))
        for step in range(num_steps):
            x, state = sampler.step(
                state, outs(step, 3)[i : i + 1], step, x, drawn(step, xs.shape)[i : i + 1]
            )
        return x

    assert torch.equal(torch.cat([alone(i) for i in range(3)]), walk(sampler, xs, num_steps))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_noise_is_passed_in_and_never_drawn(name):
    sampler = samplers.load(name)
    assert sampler.stochastic == (name != "dpm++")
    x, state = drawn(-1, (2, 4, 6, 6)), sampler.init(sampler.timesteps(3))
    before = torch.get_rng_state()
    x, state = sampler.step(state, outs(0), 0, x, drawn(0, x.shape))
    here = [sampler.step(state, outs(1), 1, x, drawn(step, x.shape))[0] for step in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(here[0], here[1]) and torch.equal(here[0], here[2]) == (name == "dpm++")
    if sampler.stochastic:
        with pytest.raises(BadInput, match="noise: the scheduler draws .* is given None"):
            sampler.step(state, outs(1), 1, x)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_walk_may_begin_in_the_middle_and_the_forward_process_leads_there(name):
    """As Learning-to-Cache's training does: a cold start is first order, from the noised image."""
    sampler, a = samplers.load(name), ddim.alphas_cumprod()
    x0, eps = outs(0, 4).chunk(2, dim=1)
    timesteps = sampler.timesteps(10)
    x = sampler.noised(x0, eps, timesteps[6])
    torch.testing.assert_close(
        x, float(a[timesteps[6]] ** 0.5) * x0 + float((1 - a[timesteps[6]]) ** 0.5) * eps
    )
    if not sampler.stochastic:  # eps known exactly: one step lands on the same ray
        got, _ = sampler.step(sampler.init(timesteps), torch.cat([eps, eps], dim=1), 6, x)
        torch.testing.assert_close(got, sampler.noised(x0, eps, timesteps[7]), atol=1e-4, rtol=1e-4)
    assert walk(sampler, x, 10, begin=6).isfinite().all()


def test_the_given_scheduler_is_not_touched():
    scheduler = SCHEDULERS["sa-solver"]()
    scheduler.set_timesteps(4)
    before = {
        name: list(value) if isinstance(value, list) else value
        for name, value in vars(scheduler).items()
    }
    sampler = samplers.Scheduled(scheduler)
    walk(sampler, drawn(-1, (2, 4, 6, 6)), 5)
    after = vars(scheduler)
    assert before.keys() == after.keys()
    assert all(value is after[name] or value == after[name] for name, value in before.items())


@pytest.mark.parametrize(
    "scheduler", [EulerDiscreteScheduler, HeunDiscreteScheduler, PNDMScheduler]
)
def test_schedulers_of_another_loop_are_refused(scheduler):
    with pytest.raises(BadInput, match=f"scheduler: '{scheduler.__name__}' is not possible"):
        samplers.Scheduled(scheduler()).timesteps(5)


def test_other_timesteps_are_refused():
    with pytest.raises(
        BadInput,
        match=r"timesteps: \[998, 500\] is not possible; DPMSolverMultistepScheduler has \[999, ",
    ):
        samplers.load("dpm++").init([998, 500])
