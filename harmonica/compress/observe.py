"""Records the inputs of a model's layers along a walk."""

from dataclasses import dataclass
from functools import partial

import torch

from harmonica import samplers
from harmonica.compress.quantise import is_of_prompt, layers
from harmonica.method import seeds
from harmonica.method.denoise import Denoiser


def walk(loaded, settings, trajectory, count):
    """Prepare one walk with the settings of a Quantisation -> a Denoiser for `count` images, and
    the noise to begin with. Both depend on (seed, trajectory, image) alone.
    """
    key = settings.seed, trajectory
    rngs = seeds.generators(seeds.COMPRESSION, *key, indices=range(count))
    cond = loaded.cond(seeds.choices(rngs, loaded.num_conds))
    x = seeds.normal(rngs, loaded.shape).to(loaded.device)
    sampler = samplers.load(settings.sampler)
    timesteps = sampler.timesteps(settings.num_steps)
    noise = seeds.step_noise(seeds.COMPRESSION, *key, indices=range(count), shape=loaded.shape)
    options = {"scale": settings.guidance, "noise": noise}
    return Denoiser(loaded.backbone, sampler, timesteps, cond, **options), x


@dataclass(frozen=True)
class Seen:
    """The recorded inputs of a layer. rows: at each step a sample at even distances, (T, rows,
    ...), of tokens or, for a convolution, of images. low, high: the extreme values at each step,
    over all inputs, (T,).
    """

    rows: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor


@torch.no_grad()
def inputs(loaded, settings):
    """{layer name: Seen} along an uncached walk from `images` noises. Layers of the prompt, and
    those that the walk does not call at every step, are left out.
    """
    denoiser, x = walk(loaded, settings, 0, settings.images)
    watched = {n: layer for n, layer in layers(loaded.backbone).items() if not is_of_prompt(n)}
    calls_by_name = {name: [] for name in watched}
    hooks = [
        layer.register_forward_pre_hook(partial(_see, calls_by_name[name], settings.rows))
        for name, layer in watched.items()
    ]
    try:
        denoiser.walk(denoiser.begin(x), denoiser.computed)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: Seen(*(torch.stack(parts) for parts in zip(*calls)))
        for name, calls in calls_by_name.items()
        if len(calls) == settings.num_steps
    }


def _see(calls, count, layer, arguments):
    x = arguments[0]
    rows = x if x.dim() == 4 else x.flatten(0, -2)
    calls.append((rows[:: max(1, len(rows) // count)][:count].clone(), x.min(), x.max()))
