"""SDT, Learning-to-Cache and IEPO under every sampler, on a tiny guided PixArt: lambda is brute
force.
"""

import pytest
import torch

from harmonica.backbones.pixart import TextCond
from harmonica.lab.makings import ModelSpec, RouterSpec
from harmonica.method import iepo, seeds
from harmonica.method.denoise import Loaded
from harmonica.method.learner import Learner
from harmonica.method.settings import RouterTraining
from harmonica.method.train import Work, initial_logits, train

SAMPLERS = ["ddim", "dpm++", "iddpm", "sa-solver", "dpm-singlestep", "sa-solver-pixart"]
IEPO = {"lambda_scores": "soft", "refresh": 2, "lambda_batch": 2}
HARMONICA = {"walk": "sdt", "objective": "leave-one-out", **IEPO}
LEARNING_TO_CACHE = {"walk": "ltc", "ltc_form": "all-pairs", "objective": "mse"}
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)


@pytest.fixture(scope="module")
def text_model(tiny_pixart, tiny_prompts):
    """A models.Loaded over a tiny PixArt with five prompts, and training images."""

    def cond(indices):
        chosen = torch.as_tensor(indices) % 5
        return TextCond(
            prompts.embeds[chosen],
            prompts.mask[chosen],
            null_embeds=prompts.null_embeds,
            null_mask=prompts.null_mask,
        )

    backbone, prompts = (
        tiny_pixart(dtype=torch.float32, depth=1),
        tiny_prompts(5, dtype=torch.float32),
    )
    images = torch.randn(20, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    return Loaded(backbone, cond, 5, (images, torch.arange(20) % 5))


def spec(sampler, method=HARMONICA, num_steps=4, guidance=4.5, **changes):
    training = {
        "trajectories": 2,
        "batch": 2,
        "lr": 0.1,
        "adam_eps": 1e-12,
        "tau": 0.1,
        "cur_percent": 50,
    }
    return RouterSpec(
        model=ModelSpec(name="tiny", sha256="0" * 64, scale="smoke"),
        sampler=sampler,
        num_steps=num_steps,
        guidance=guidance,
        training=RouterTraining(**training | method | changes),
    )


@every_sampler
@pytest.mark.parametrize("method", [HARMONICA, LEARNING_TO_CACHE], ids=["SDT", "LTC"])
def test_training_moves_the_rows_of_the_router_and_nothing_else(text_model, sampler, method):
    weights = {
        name: value.clone() for name, value in text_model.backbone.model.state_dict().items()
    }
    work = Work(text_model, spec(sampler, method))
    before = initial_logits(4, 3, seed=0)
    learner = Learner(before, tau=0.1, lr=0.1, adam_eps=1e-12)
    assert work.walk(learner, trajectory=0) > 0
    after = learner.logits()
    assert torch.equal(after[0], before[0]) and (after[1:] != before[1:]).all()
    assert all(
        torch.equal(value, weights[name])
        for name, value in text_model.backbone.model.state_dict().items()
    )
    assert all(parameter.grad is None for parameter in text_model.backbone.model.parameters())


@every_sampler
def test_with_every_score_one_the_walk_is_the_uncached_model(text_model, sampler):
    """The same noise at every step reaches the end, whatever the walk is for."""
    work = Work(text_model, spec(sampler))
    x, cond = work.draw(seeds.TRAJECTORY, 0, 2)
    denoiser = work.denoiser(cond, 4.5, work.step_noise(2, seeds.TRAJECTORY, 0))
    with torch.no_grad():
        full = denoiser.walk(denoiser.begin(x), denoiser.computed).x
        soft = denoiser.walk(denoiser.begin(x), denoiser.soft(torch.ones(4, 3), 0.1)).x
    assert torch.equal(soft, full) and full.isfinite().all()


@every_sampler
@pytest.mark.parametrize("trajectory", [0, 1])
def test_lambda_is_walking_from_the_start_for_every_step(text_model, sampler, trajectory):
    work = Work(text_model, spec(sampler, num_steps=6))
    logits = initial_logits(6, 3, seed=trajectory)
    scores = torch.sigmoid(logits)
    x, cond = work.draw(seeds.LAMBDA, trajectory, 2)
    denoiser = work.denoiser(cond, 4.5, work.step_noise(2, seeds.LAMBDA, trajectory))

    def end(changed):
        with torch.no_grad():
            return denoiser.images(denoiser.walk(denoiser.begin(x), denoiser.soft(changed, 0.1)))

    last = end(scores)
    brute = [
        (end(torch.where(torch.arange(6)[:, None] == step, 1.0, scores)) - last).square().sum() / 2
        for step in range(6)
    ]
    got = work.lambda_(logits, trajectory)
    assert torch.equal(got, torch.stack(brute)) and (got[1:] > 0).all()
    assert torch.equal(got, iepo.leave_one_out(denoiser, x, scores, 0.1))


class Cheap:
    """A backbone of one block and a few numbers: lambda at T = 100 takes 5000 steps."""

    in_channels, sample_size, guided_channels, num_blocks = 1, 2, 1, 1

    def prepare(self, cond):
        return cond

    def start(self, x, t, ctx):
        return x, t[:, None, None, None] / 1000

    def through(self, h, c, at):
        h = h * 0.1 + at(0, lambda: torch.tanh(h * (1 + c)))
        return torch.cat([h, -h], dim=1)


def test_a_hundred_steps_of_iddpm_on_two_trajectories(tmp_path):
    """Rows move, and lambda's restarts are the walks from the start at steps early, in the middle
    and last.
    """
    model = Loaded(Cheap(), torch.as_tensor, 5)
    setting = spec("iddpm", num_steps=100, guidance=1.0, batch=1, lambda_batch=1)
    logits, log = train(model, setting, tmp_path / "state")
    lambda_, initial = torch.tensor(log[0]["lambda"]), initial_logits(100, 1, seed=0)
    moved = (logits != initial).flatten()
    assert len(log) == 2 and logits.isfinite().all() and not moved[0] and moved[1:].sum() > 90
    assert lambda_[0] == 0 and (lambda_[1:] > 0).all() and lambda_.isfinite().all()
    work = Work(model, setting)
    x, cond = work.draw(seeds.LAMBDA, 0, 1)
    denoiser, scores = (
        work.denoiser(cond, 1.0, work.step_noise(1, seeds.LAMBDA, 0)),
        torch.sigmoid(initial),
    )

    def end(scores):
        with torch.no_grad():
            return denoiser.walk(denoiser.begin(x), denoiser.soft(scores, 0.1)).x

    for step in (1, 50, 98, 99):
        changed = torch.where(torch.arange(100)[:, None] == step, 1.0, scores)
        torch.testing.assert_close(
            (end(changed) - end(scores)).square().sum(), lambda_[step], rtol=1e-5, atol=0
        )


@pytest.mark.parametrize("sampler", ["iddpm", "sa-solver"])
def test_the_noise_of_a_step_depends_on_seed_trajectory_sample_and_step_alone(text_model, sampler):
    work = Work(text_model, spec(sampler))
    few, many = work.step_noise(2, seeds.TRAJECTORY, 3), work.step_noise(5, seeds.TRAJECTORY, 3)
    assert torch.equal(few(1), many(1)[:2]) and torch.equal(few(1), few(1))
    others = [
        few(2),
        work.step_noise(2, seeds.TRAJECTORY, 4)(1),
        work.step_noise(2, seeds.LAMBDA, 3)(1),
        Work(text_model, spec(sampler, seed=1)).step_noise(2, seeds.TRAJECTORY, 3)(1),
        work.draw(seeds.TRAJECTORY, 3, 2)[0],
    ]
    assert not any(torch.equal(few(1), other) for other in others)
    # and it is what the walk uses: another trajectory number changes the end from the same start
    x, cond = work.draw(seeds.TRAJECTORY, 3, 2)
    with torch.no_grad():
        ends = [
            denoiser.walk(denoiser.begin(x), denoiser.computed).x
            for denoiser in (
                work.denoiser(cond, 1.0, work.step_noise(2, seeds.TRAJECTORY, n)) for n in (3, 3, 4)
            )
        ]
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])
