"""What a schedule costs: multiply-accumulates, theoretical speedup, cache memory; and measured
latency.
"""

import statistics
import time
from math import isqrt

import torch

from harmonica import weights
from harmonica.backbones.dit import attention_macs, feed_forward_macs, fixed_macs
from harmonica.digits.manifest import manifest
from harmonica.method.schedules import cur_percent, full


def macs(backbone, keep, halves=1):
    """Multiply-accumulates of one image under mask keep (T, N), guidance (halves = 2) included."""
    of_blocks = torch.tensor([block.macs for block in backbone.blocks], dtype=torch.float64)
    once = backbone.prompt_macs + len(keep) * backbone.fixed_macs
    return int(halves * (once + float((keep.double() @ of_blocks).sum())))


PUBLISHED = {
    "DiT-XL/2 256": (256, 1152, 28),
    "DiT-XL/2 512": (1024, 1152, 28),
}  # tokens, width, depth
PUBLISHED |= {
    name: (file.tokens, 1152, 28) for name, file in weights.PUBLISHED.items() if file.tokens
}


def mac_fraction(model, keep):
    """MACs under mask keep (T, N) over those of the uncached model, from the model's name alone;
    None if not known.
    """
    own = manifest().get(model, {}).get("training")
    pixart = _pixart(model, own)
    if pixart:
        return (
            macs(pixart, keep) / macs(pixart, torch.ones_like(keep))
            if keep.shape[1] == len(pixart.blocks)
            else None
        )
    if own:
        tokens, width, depth, pixels = (
            (8 // own["patch"]) ** 2,
            own["width"],
            own["depth"],
            2 * own["patch"] ** 2,
        )
    elif model in PUBLISHED:
        (tokens, width, depth), pixels = PUBLISHED[model], 4 * (4 + 8)
    else:
        return None
    if keep.shape[1] != 2 * depth:
        return None
    of_units = torch.tensor(
        [attention_macs(tokens, width), feed_forward_macs(tokens, width, 4 * width)] * depth
    ).double()
    fixed = fixed_macs(tokens, width, depth=depth, pixels=pixels)
    return (len(keep) * fixed + float((keep.double() @ of_units).sum())) / (
        len(keep) * (fixed + float(of_units.sum()))
    )


def _pixart(model, own):
    """The backbone, without weights, of a PixArt of ours (by its settings) or a published one (by
    its name); else None.
    """
    if own and "text_width" in own:
        from harmonica.digits.pixart_folder import MOST_BYTES

        side, channels, captions, text_tokens, sizes = 8, 1, own["text_width"], MOST_BYTES, False
    elif model in PUBLISHED and model.startswith("PixArt-alpha/"):
        own, sigma = {"patch": 2, "width": 1152, "heads": 16, "depth": 28}, "Sigma" in model
        side, channels, captions = 2 * isqrt(PUBLISHED[model][0]), 4, 4096
        text_tokens, sizes = 300 if sigma else 120, side == 128 and not sigma
    else:
        return None
    from diffusers import PixArtTransformer2DModel  # brings T5's library: only where there is text

    from harmonica.backbones.pixart import PixArt

    with torch.device("meta"):
        transformer = PixArtTransformer2DModel(
            num_attention_heads=own["heads"],
            attention_head_dim=own["width"] // own["heads"],
            in_channels=channels,
            out_channels=2 * channels,
            num_layers=own["depth"],
            cross_attention_dim=own["width"],
            sample_size=own["patch"],
            patch_size=own["patch"],
            caption_channels=captions,
            interpolation_scale=1,
            use_additional_conditions=sizes,
        )
    return PixArt(transformer, sample_size=side, text_tokens=text_tokens)


def summary(backbone, keep, against, halves=1):
    """The cost part of a record. against: number of steps of the uncached run that the speedup
    refers to.
    """
    plain = macs(backbone, full(against, len(backbone.blocks)), halves)
    own = macs(backbone, keep, halves)
    elements = int(live_elements(backbone, keep).max()) * halves
    return {
        "macs": own,
        "cur_percent": cur_percent(keep),
        "speedup_theoretical": plain / own,
        "cache_elements_per_image": elements,
        "cache_bytes_per_image": elements * next(backbone.parameters()).element_size(),
    }  # in the model's dtype


def live_elements(backbone, keep):
    """Numbers per sample that a plan holds before each of the T steps: the features that this step
    reuses. -> (T,)
    """
    return (~keep * torch.tensor([block.feature_size for block in backbone.blocks])).sum(1)


def interleaved(functions, repeats=7, warmup=1):
    """Time several functions in turn, so that drift of the machine's speed hits all alike.

    functions: name -> callable. -> name -> list of `repeats` seconds.
    """
    seconds = {name: [] for name in functions}
    for repeat in range(warmup + repeats):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if repeat >= warmup:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def quartiles(values):
    """-> median, and the interquartile range as [first, third]."""
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return median, [first, third]
