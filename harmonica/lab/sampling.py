"""Images of one run: blocks of `batch` consecutive images, each a function of (run, block) alone.

Noise and label of image k depend on the run's seed and k; the last block is padded to the full
batch. A shard is a range of whole blocks, so the bytes do not depend on how the work was divided.
"""

from functools import cache

import numpy as np
import torch

from harmonica import samplers
from harmonica.errors import BadInput
from harmonica.fast.plan import follow
from harmonica.files import read_array, save_array
from harmonica.lab.store import block_path, trajectory_path
from harmonica.method import seeds
from harmonica.method.denoise import Denoiser
from harmonica.method.precision import float32_products

DOMAINS = {"evaluation": seeds.EVALUATION, "reference": seeds.REFERENCE}


@torch.no_grad()
def sample_block(loaded, run, plan, block):
    """Generate a block (its number) under a Plan -> (T + 1, batch, C, H, W), noise first."""
    indices = range(block * run.batch, (block + 1) * run.batch)
    noise = seeds.step_noise(DOMAINS[run.noise], run.seed, indices=indices, shape=loaded.shape)
    denoiser = denoiser_of(loaded, run, indices, noise)
    point = denoiser.begin(initial_noise(loaded, run, indices))
    forward = follow(denoiser, plan)
    images = [denoiser.images(point)]
    with products_of(run):
        while point.step < run.num_steps:
            point = denoiser.advance(point, forward)
            images.append(denoiser.images(point))
    return torch.stack(images)


def denoiser_of(loaded, run, indices, noise):
    """The Denoiser of a run's images with these indices. noise(step): of a stochastic sampler."""
    sampler = samplers.load(run.sampler)
    timesteps, cond = sampler.timesteps(run.num_steps), loaded.cond(indices)
    return Denoiser(loaded.backbone, sampler, timesteps, cond, scale=run.guidance, noise=noise)


def products_of(run):
    """A context with the precision of a run's float32 products."""
    return float32_products("tf32" if run.precision == "tf32" else "ieee")


def initial_noise(loaded, run, indices):
    return seeds.normal(
        seeds.generators(DOMAINS[run.noise], run.seed, indices=indices), loaded.shape
    ).to(loaded.device)


def make_block(loaded, run, plan, block, folder):
    """Sample one block: final images, and for block 0 the whole trajectory as well.

    A run with a decoder keeps uint8 images (batch, 3, H, W), others float32 as the model gives
    them.
    """
    trajectory = sample_block(loaded, run, plan, block).cpu()
    if block == 0:
        save_array(trajectory_path(folder), trajectory.numpy())
    last = trajectory[-1]
    images = _decoder(run.images.decoder).decode(last) if run.images else last.numpy()
    save_array(block_path(folder, block), images)


@cache
def _decoder(spec):
    from harmonica.weights.vae import Vae  # only paper scale has one

    return Vae(spec)


def load_blocks(folder, num_images, batch):
    """Yield the images of a run's samples block by block, (<= batch, C, H, W). BadInput naming a
    missing or damaged block.
    """
    for start in range(0, num_images, batch):
        path = block_path(folder, start // batch)
        yield read_array(path, "samples", "give the command of the run again")[: num_images - start]


def blocks_of(run, store):
    """The blocks of a sampled run."""
    return load_blocks(store.samples(run), run.num_images, run.batch)


def load_samples(run, store):
    """All images of a sampled run (num_images, C, H, W) float32. BadInput naming a missing or
    damaged block.
    """
    images = np.concatenate(list(blocks_of(run, store)))
    if len(images) != run.num_images:
        raise BadInput(
            f"samples: {store.samples(run)} holds {len(images)} images, not {run.num_images}"
        )
    return images
