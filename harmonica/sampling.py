"""Images of one run: blocks of `batch` consecutive images, each a function of (run, block) alone.

Noise and label of image k depend on the run's seed and k; the last block is padded to the full batch. A shard is any
set of blocks, so the bytes do not depend on how the work was divided.
"""
import torch

from . import samplers, seeds
from .denoise import Denoiser

DOMAINS = {"evaluation": seeds.EVALUATION, "reference": seeds.REFERENCE}


def num_blocks(run):
    return -(-run.num_images // run.batch)


@torch.no_grad()
def sample_block(loaded, run, keep, block):
    """Generate block number `block` under mask `keep` (T, N) -> trajectory (T + 1, batch, C, H, W), noise first."""
    indices = range(block * run.batch, (block + 1) * run.batch)
    sampler = samplers.load(run.sampler)
    denoiser = Denoiser(loaded.backbone, sampler, sampler.timesteps(run.num_steps), loaded.cond(indices),
                        scale=run.guidance, noise=_step_noise(loaded, run, indices))
    point = denoiser.begin(initial_noise(loaded, run, indices))
    forward = denoiser.hard(keep)
    images = [denoiser.images(point)]
    while point.step < run.num_steps:
        point = denoiser.advance(point, forward)
        images.append(denoiser.images(point))
    return torch.stack(images)


def initial_noise(loaded, run, indices):
    return seeds.normal(seeds.generators(DOMAINS[run.noise], run.seed, indices=indices), loaded.shape)


def _step_noise(loaded, run, indices):
    def noise(step):
        rngs = [seeds.generators(DOMAINS[run.noise], run.seed, k, indices=[step + 1])[0] for k in indices]
        return seeds.normal(rngs, loaded.shape)
    return noise
