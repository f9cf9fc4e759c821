"""How tiny DiT and PixArt pipelines (the fixture tiny_pipe) are called, and routers for them."""

import pytest
import torch
from diffusers import DiTPipeline

from harmonica.method import masks
from harmonica.method.router import from_keep

T = 4
KINDS = ("dit", "alpha", "alpha-1024", "sigma")
every_kind = pytest.mark.parametrize("kind", KINDS)
one_of_each = pytest.mark.parametrize("kind", ["dit", "sigma"])


def call(pipe, *, steps=T, seed=0, count=2, **options):
    """Images of one call, for the first `count` labels or prompts: pixels (B, 3, H, W), or a
    PixArt's latents.
    """
    if is_dit(pipe):
        what = {"class_labels": [3, 7, 1][:count], "output_type": "pt"}
    else:
        what = {
            "prompt": ["a fox", "a long red train", "fog"][:count],
            "output_type": "latent",
            "clean_caption": False,
            "use_resolution_binning": False,
            "max_sequence_length": 16,
            "height": 8,
            "width": 8,
        }
    images = pipe(
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
        **{**what, **options},
    ).images
    return torch.as_tensor(images)  # before 0.41, DiT's pipeline gives arrays of numpy


def is_dit(pipe):
    return isinstance(pipe, DiTPipeline)


def timesteps_of(pipe, steps=T):
    pipe.scheduler.set_timesteps(steps)
    return tuple(pipe.scheduler.timesteps.tolist())


def blocks_of(pipe):
    return len(pipe.transformer.transformer_blocks) * (2 if is_dit(pipe) else 3)


def router_of(pipe, steps=T, keep=None):
    """By default every second step reuses everything."""
    keep = masks.fora(steps, blocks_of(pipe)) if keep is None else keep
    return from_keep(keep, timesteps=timesteps_of(pipe, steps))


def everything(pipe, steps=T):
    return router_of(pipe, steps, masks.full(steps, blocks_of(pipe)))


def attributes(pipe):
    """What apply_router may touch, and must put back."""
    return {name: set(vars(getattr(pipe, name))) for name in ("transformer", "scheduler")}
