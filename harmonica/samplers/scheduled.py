"""A diffusers scheduler as a function over explicit state.

Schedulers store the history of a multistep method (model outputs, orders, last sample, step index)
in their attributes and draw noise themselves. Here each step runs on a new shallow copy. The copy
gets the history from the state and, in place of a random draw, the noise that the caller made; the
attributes that the step changed become the next state. A scheduler never changes a tensor in place,
so forks can share state.
"""

import copy
from contextlib import nullcontext
from functools import cache

import torch
from torch.overrides import TorchFunctionMode

from harmonica.errors import BadInput, check
from harmonica.samplers.ddim import TRAIN_STEPS

# from the scheduler_config.json of the published PixArt pipelines; DiT has the same betas
LINEAR = {
    "num_train_timesteps": TRAIN_STEPS,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "beta_end": 0.02,
}
LEARNED = ("learned", "learned_range")


class Scheduled:
    """The sampler contract (see harmonica.samplers) over a diffusers scheduler, a pipeline's own
    for example, which is not changed.

    stochastic: whether its steps draw noise. prepare(scheduler, num_steps): sets its timesteps, in
    place of its set_timesteps. BadInput for schedulers that need more than one model call and one
    step() per timestep, or do not begin with unit noise (second-order, warm-up, sigma-scaled ones).
    """

    calls = 1

    def __init__(self, scheduler, prepare=None):
        self.name = type(scheduler).__name__
        self._class, self._config = type(scheduler), scheduler.config
        check(
            scheduler.order == 1
            and float(scheduler.init_noise_sigma) == 1
            and hasattr(scheduler, "alphas_cumprod"),
            "scheduler",
            self.name,
            "choose a first-order one on unit noise: DDIM, DDPM, DPMSolverMultistep, SASolver",
        )
        self._set_timesteps = prepare or type(scheduler).set_timesteps
        self._prepared = cache(self._prepare)
        # only IDDPM reads the learned variance; all others get eps only, as in the pipelines
        self._reads_variance = vars(scheduler).get("variance_type") in LEARNED
        # whether it is stochastic is found by trying one step
        self.stochastic = True
        noise = _Noise(torch.zeros(1, 1, 1, 1))
        self._step(self._prepare(4), torch.zeros(1, 2, 1, 1), 0, torch.zeros(1, 1, 1, 1), noise)
        self.stochastic = noise.draws > 0

    def timesteps(self, num_steps):
        """-> T model timesteps in sampling order (descending)."""
        return self._prepared(num_steps).timesteps.tolist()

    def init(self, timesteps):
        """-> the state before the first step: (T, empty history). A walk may begin at any step.
        BadInput where these are not the scheduler's own timesteps.
        """
        check(
            list(timesteps) == self.timesteps(len(timesteps)),
            "timesteps",
            list(timesteps),
            f"{self.name} has {self.timesteps(len(timesteps))}",
        )
        return len(timesteps), {}

    def step(self, state, out, step, x, noise=None):
        """out: guided model output (B, >= C, H, W); x (B, C, H, W); noise like x where stochastic
        -> less noisy x, state.
        """
        num_steps, history = state
        prepared = self._prepared(num_steps)
        scheduler = copy.copy(prepared)
        for name, value in (vars(prepared) | history).items():
            # a scheduler writes into its lists, so each step has its own
            vars(scheduler)[name] = list(value) if isinstance(value, list) else value
        x = self._step(scheduler, out, step, x, _Noise(noise))
        history = {
            name: value
            for name, value in vars(scheduler).items()
            if isinstance(value, list) or value is not vars(prepared).get(name)
        }
        return x, (num_steps, history)

    def noised(self, x0, eps, timestep):
        """The forward process q(x_t | x_0) at a model timestep. For a fractional one log alpha is
        interpolated linearly.
        """
        alphas = self._prepared(1).alphas_cumprod.tolist()
        below = int(timestep)
        share = timestep - below
        a = alphas[below] ** (1 - share) * alphas[min(below + 1, len(alphas) - 1)] ** share
        return a**0.5 * x0 + (1 - a) ** 0.5 * eps

    def _step(self, scheduler, out, step, x, noise):
        prediction = out if self._reads_variance else out[:, : x.shape[1]]
        with noise if self.stochastic else nullcontext():
            return scheduler.step(prediction, scheduler.timesteps[step], x, return_dict=False)[0]

    def _prepare(self, num_steps):
        scheduler = self._class.from_config(self._config)
        self._set_timesteps(scheduler, num_steps)
        check(
            len(scheduler.timesteps) == num_steps,
            "scheduler",
            self.name,
            f"it takes {len(scheduler.timesteps)} model calls for {num_steps} steps; "
            "choose one that takes one per step",
        )
        return scheduler


class _Noise(TorchFunctionMode):
    """A context in which the one torch.randn call of a scheduler's step returns the given noise."""

    def __init__(self, noise):
        super().__init__()
        self.noise, self.draws = noise, 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is not torch.randn:
            return function(*args, **(kwargs or {}))
        self.draws += 1
        if self.noise is None or self.draws > 1 or tuple(args[0]) != tuple(self.noise.shape):
            raise BadInput(
                f"noise: the scheduler draws {tuple(args[0])}, draw {self.draws} of this step, "
                f"but is given {None if self.noise is None else tuple(self.noise.shape)} for one; "
                "choose another scheduler"
            )
        return self.noise.to(device=kwargs["device"], dtype=kwargs["dtype"])
