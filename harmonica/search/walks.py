"""The walk of a loaded model, and the policies that follow a schedule."""

from functools import partial

import torch

from harmonica.method import seeds
from harmonica.method.cache import compute_all, predicted
from harmonica.method.denoise import Denoiser


class ModelWalk:
    """The walk (see harmonica.search) of a loaded model with a sampler, steps and guidance. conds:
    only the first so many of its classes or captions are drawn; None: all.
    """

    def __init__(self, loaded, sampler, num_steps, guidance=1.0, conds=None):
        self.loaded, self.sampler, self.guidance = loaded, sampler, guidance
        self.conds = conds or loaded.num_conds
        self.num_steps, self.num_blocks = num_steps, loaded.backbone.num_blocks
        self.timesteps = sampler.timesteps(num_steps)

    @property
    def guided(self):
        return None if self.guidance == 1.0 else self._guided

    def _guided(self, feature):
        cond, null = feature.chunk(2)
        return null + self.guidance * (cond - null)

    def __call__(self, policy, seed, indices, grad=False):
        loaded = self.loaded
        rngs = seeds.generators(seeds.SEARCH, seed, indices=indices)
        x = seeds.normal(rngs, loaded.shape).to(loaded.device)
        denoiser = Denoiser(
            loaded.backbone,
            self.sampler,
            self.timesteps,
            loaded.cond(seeds.choices(rngs, self.conds)),
            scale=self.guidance,
            noise=seeds.step_noise(seeds.SEARCH, seed, indices=indices, shape=loaded.shape),
        )

        def forward(step, x, state):
            return policy(step, partial(denoiser.run, step, x), state if step else None)

        with torch.set_grad_enabled(grad):
            return denoiser.images(denoiser.walk(denoiser.begin(x), forward))


def uncached(step, call, state):
    """The policy of the uncached model."""
    return call(compute_all), None


def follow(schedule, weights=None):
    """-> the policy of a schedule, perhaps with other weights. Its state: each block's last
    computed features, newest first.
    """
    keep, features = schedule.keep.tolist(), schedule.features
    weights = schedule.weights if weights is None else weights

    def policy(step, call, state):
        state = list(state or [()] * len(keep[0]))

        def at(i, compute):
            if not keep[step][i] and state[i]:
                entry_weights = weights.get((step, i))
                return state[i][0] if entry_weights is None else predicted(entry_weights, state[i])
            state[i] = (compute(), *state[i][: features - 1])
            return state[i][0]

        return call(at), state

    return policy
