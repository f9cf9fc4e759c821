"""Image k is a function of the run and k: not of shards, of the order of blocks, and of the batch
size only by rounding.
"""

import pytest
import torch

from harmonica import samplers
from harmonica.digits.manifest import manifest
from harmonica.fast.plan import compile_schedule
from harmonica.lab import sampling
from harmonica.lab.makings import ModelSpec
from harmonica.lab.models import load_model
from harmonica.lab.specs import RunSpec
from harmonica.lab.store import num_blocks
from harmonica.method import masks, seeds
from harmonica.method.denoise import Denoiser
from harmonica.method.schedule import Schedule

SCHEDULE = Schedule(keep=masks.random(4, 4, 6, seed=0))


def run_of(**fields):
    model = ModelSpec(name="tiny", sha256="0" * 64, scale="smoke")
    return RunSpec(
        **{"model": model, "num_steps": 4, "against": 4, "num_images": 22, "batch": 8} | fields
    )


def images(loaded, run, blocks=None):
    blocks = range(num_blocks(run)) if blocks is None else blocks
    plan = compile_schedule(loaded.backbone, SCHEDULE)
    return {block: sampling.sample_block(loaded, run, plan, block)[-1] for block in blocks}


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_bytes_do_not_depend_on_shards_or_order(tiny_model, guidance):
    run = run_of(guidance=guidance)
    straight = images(tiny_model, run)
    assert list(straight) == [0, 1, 2]
    for shards in ([[2, 0, 1]], [[1], [2, 0]], [[2], [1], [0]]):
        sharded = {}
        for blocks in shards:
            sharded |= images(tiny_model, run, blocks)
        assert all(torch.equal(straight[block], sharded[block]) for block in straight)


def test_the_last_block_is_padded(tiny_model):
    """So that every block runs at one batch shape; image k stays where it is when the run gets
    longer.
    """
    last = images(tiny_model, run_of(), [2])[2]
    assert len(last) == 8 and torch.equal(last, images(tiny_model, run_of(num_images=24), [2])[2])


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_across_batch_sizes_images_agree(guidance):
    name = "dit-digits-s0"
    model = ModelSpec(name=name, sha256=manifest()[name]["sha256"], scale="digits")
    loaded, several = load_model(model), []
    plan = compile_schedule(loaded.backbone, Schedule(keep=masks.random(6, 16, 30, seed=0)))
    for batch in (1, 5, 8, 22):
        run = run_of(model=model, num_steps=6, batch=batch, guidance=guidance)
        numbers = range(num_blocks(run))
        blocks = [sampling.sample_block(loaded, run, plan, number)[-1] for number in numbers]
        several.append(torch.cat(blocks)[:22])
    for other in several[1:]:
        assert (other - several[0]).abs().max() < 1e-4


def test_noise_and_label_of_an_image_depend_on_the_seed_and_its_number(tiny_model):
    noise = sampling.initial_noise(tiny_model, run_of(), range(10))
    for other in (
        run_of(batch=3),
        run_of(num_steps=2, num_images=99),
        run_of(schedule="random", cur_percent=25),
    ):
        assert torch.equal(sampling.initial_noise(tiny_model, other, range(4, 7)), noise[4:7])
    for other in (run_of(seed=1), run_of(noise="reference")):
        assert (
            (sampling.initial_noise(tiny_model, other, range(10)) != noise)
            .all(dim=3)
            .any(dim=2)
            .all()
        )
    assert len(noise.flatten(1).unique(dim=0)) == 10
    assert tiny_model.cond(range(8, 13)).tolist() == [8, 9, 0, 1, 2]
    assert tiny_model.cond(range(30)).bincount().tolist() == [3] * 10  # balanced


def test_the_first_block_starts_from_that_noise_and_ends_in_the_images(tiny_model):
    run = run_of()
    plan = compile_schedule(tiny_model.backbone, SCHEDULE)
    trajectory = sampling.sample_block(tiny_model, run, plan, 1)
    assert trajectory.shape == (5, 8, 1, 8, 8)
    assert torch.equal(trajectory[0], sampling.initial_noise(tiny_model, run, range(8, 16)))
    sampler = samplers.load("ddim")
    denoiser = Denoiser(
        tiny_model.backbone, sampler, sampler.timesteps(4), tiny_model.cond(range(8, 16))
    )
    with torch.no_grad():
        final = denoiser.walk(denoiser.begin(trajectory[0]), denoiser.hard(SCHEDULE.keep))
    assert torch.equal(trajectory[-1], denoiser.images(final))


def test_under_guidance_both_halves_are_fed_the_first_ones_x(tiny_walk):
    denoiser, x = tiny_walk(scale=1.5)
    fed, start = [], denoiser.backbone.start
    denoiser.backbone.start = lambda x, t, ctx: fed.append(x) or start(x, t, ctx)
    with torch.no_grad():
        point = denoiser.walk(denoiser.begin(x), denoiser.computed)
    assert len(fed) == 5 and all(torch.equal(*batch.chunk(2)) for batch in fed)
    first, second = point.x.chunk(2)
    assert torch.equal(first[:, :3], second[:, :3]) and not torch.equal(first[:, 3], second[:, 3])


def test_a_stochastic_samplers_noise_depends_on_image_and_step(tiny_model):
    run = run_of()
    one, other = (
        seeds.step_noise(seeds.EVALUATION, run.seed, indices=indices, shape=tiny_model.shape)
        for indices in (range(8), range(4, 12))
    )
    assert torch.equal(one(2)[4:], other(2)[:4]) and not torch.equal(one(2), one(1))
    assert not torch.equal(one(0), sampling.initial_noise(tiny_model, run, range(8)))
