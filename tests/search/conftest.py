"""Small walks for the tests of the search."""

from functools import partial

import pytest

from harmonica.method import seeds


class LinearWalk:
    """A walk whose features do not depend on what was used before, so that the final image is
    linear in the features used: there the model of the search is exact. float64, features (B, 3,
    2).
    """

    num_steps, num_blocks = 5, 3

    def __init__(self):
        import torch

        generator = torch.Generator().manual_seed(1)
        shape = self.num_steps, 3, 3, 2  # steps, blocks, tokens, channels
        self.mean, self.slope, self.gate = (
            torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(3)
        )

    def __call__(self, policy, seed, indices, grad=False):
        import torch

        x = seeds.normal(seeds.generators(seeds.SEARCH, seed, indices=indices), (3, 2)).double()
        begin, state = x, None
        with torch.set_grad_enabled(grad):
            for step in range(self.num_steps):
                out, state = policy(step, partial(self.run, step, x, begin), state)
                x = 0.9 * x + out
        return x

    def run(self, step, x, begin, at):
        h = 0.1 * x
        for i in range(self.num_blocks):
            feature = self.mean[step, i] + self.slope[step, i] * begin
            h = h + self.gate[step, i] * at(i, lambda: feature)
        return h


@pytest.fixture(scope="session")
def linear_walk():
    return LinearWalk()


@pytest.fixture
def float64_noise(monkeypatch):
    """seeds.normal in float64, as a float64 model wants it."""
    normal = seeds.normal
    monkeypatch.setattr(seeds, "normal", lambda rngs, shape: normal(rngs, shape).double())


class Float64:
    """torch, whose float32 is float64: for a scheduler that rounds every sample to float32."""

    def __getattr__(self, name):
        import torch

        return torch.float64 if name == "float32" else getattr(torch, name)


@pytest.fixture
def walk_of(tiny_model_float64, float64_noise, monkeypatch):
    """-> a function that makes a walk of the tiny float64 DiT: 4 blocks."""
    from diffusers.schedulers import scheduling_dpmsolver_multistep

    from harmonica import samplers
    from harmonica.search.walks import ModelWalk

    monkeypatch.setattr(scheduling_dpmsolver_multistep, "torch", Float64())

    def make(sampler="ddim", num_steps=4, guidance=1.0):
        return ModelWalk(tiny_model_float64, samplers.load(sampler), num_steps, guidance)

    return make
