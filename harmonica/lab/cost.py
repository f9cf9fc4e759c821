"""What a schedule costs: multiply-accumulates, theoretical speedup and cache memory."""

from functools import cache
from math import isqrt

import torch

from harmonica.backbones.counts import count
from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import build
from harmonica.backbones.pixart import PixArt, TextCond
from harmonica.backbones.pixart import build as build_pixart
from harmonica.backbones.uvit import UViT
from harmonica.backbones.uvit_official import Shape, UViTModel
from harmonica.digits.manifest import manifest, side
from harmonica.fast.steps import held_features
from harmonica.method.masks import cur_percent, full
from harmonica.weights import catalogue

DIT_XL = {"width": 1152, "depth": 28, "patch": 2, "heads": 16}
TOKENS = {"DiT-XL/2 256": 256, "DiT-XL/2 512": 1024}
TOKENS |= {name: file.tokens for name, file in catalogue.PUBLISHED.items() if file.tokens}


def macs(counts, keep, copies=1):
    """Multiply-accumulates of making one image under mask keep (T, N). copies: 2 under guidance."""
    of_blocks = torch.tensor(counts.blocks, dtype=torch.float64)
    once = counts.prompt + len(keep) * counts.fixed
    return int(copies * (once + float((keep.double() @ of_blocks).sum())))


def mac_fraction(model, keep):
    """MACs under mask keep (T, N) as a share of the uncached model's, from the model's name alone.
    None where the name is not known, or its model has another number of blocks.
    """
    counts = counts_of(model)
    if counts is None or keep.shape[1] != len(counts.blocks):
        return None
    return macs(counts, keep) / macs(counts, torch.ones_like(keep))


@cache
def counts_of(model):
    """The Counts of a model by its name: a shipped or a published one; None for any other name. The
    model is built on the meta device, so no weights are needed and nothing is computed.
    """
    about = manifest().get(model, {})
    training = about.get("training")
    if not training and model not in TOKENS:
        return None
    shape = {name: (training or DIT_XL)[name] for name in ("width", "depth", "patch", "heads")}
    # of images, at paper scale of latents
    shape["sample_size"] = side(about) if training else 2 * isqrt(TOKENS[model])
    text = "text_width" in training if training else model.startswith("PixArt-alpha/")
    uvit = about.get("family") == "uvit" or model == catalogue.UVIT
    of_family = _of_uvit if uvit else _of_pixart if text else _of_dit
    with torch.device("meta"):
        return of_family(model, shape, training)


def _of_dit(model, shape, training):
    sizes = {"channels": 1, "out_channels": 1, "num_classes": 10}
    if not training:
        sizes = {"channels": 4, "out_channels": 8, "num_classes": 1000}
    built = build(**shape, **sizes)
    return count(DiT(built.to("meta")), torch.zeros(1, dtype=torch.long))


def _of_uvit(model, shape, training):
    sizes = {"channels": 1, "num_classes": 11} if training else {"channels": 4, "num_classes": 1001}
    return count(UViT(UViTModel(Shape(**shape, **sizes))), torch.zeros(1, dtype=torch.long))


def _of_pixart(model, shape, training):
    from harmonica.digits.pixart_folder import MOST_BYTES  # imports T5's library, so only for text

    sizes, sigma = {}, "Sigma" in model
    if training:
        channels, captions, tokens = 1, training["text_width"], MOST_BYTES
    else:
        channels, captions, tokens = 4, 4096, 300 if sigma else 120
        if shape["sample_size"] == 128 and not sigma:
            sizes = {"resolution": torch.ones(1, 2), "aspect_ratio": torch.ones(1, 1)}
    built = build_pixart(**shape, channels=channels, text_width=captions, sizes=bool(sizes))
    cond = TextCond(torch.zeros(1, tokens, captions), torch.ones(1, tokens), **sizes)
    return count(PixArt(built.to("meta")), cond)


def summary(counts, schedule, against, copies, element_bytes, original=None):
    """The cost part of a record. against: number of steps of the uncached run that the speedup
    refers to. element_bytes: bytes of one number of a feature. original: of a compressed model, the
    Counts of the uncompressed one.
    """
    uncached_macs = macs(original or counts, full(against, len(counts.blocks)), copies)
    cached_macs = macs(counts, schedule.keep, copies)
    elements = int(live_elements(counts, schedule).max()) * copies
    return {
        "macs": cached_macs,
        "cur_percent": cur_percent(schedule.keep),
        "speedup_theoretical": uncached_macs / cached_macs,
        "cache_elements_per_image": elements,
        "cache_bytes_per_image": elements * element_bytes,
    }


def live_elements(counts, schedule):
    """How many numbers per sample are in a plan's cache before each of the T steps: all features
    that this step or a later one still uses. -> (T,)
    """
    return (held_features(schedule) * torch.tensor(counts.elements)).sum(1)
