"""Images per second of the whole chain at DiT-XL/2 256: sampling, decoder, Inception.

Random weights in the published shapes: bfloat16 sampling with guidance, T = 20, float32 decoder and
Inception, as an evaluation runs them.
"""

import io
import time
from functools import partial
from unittest import mock

import torch

from harmonica.fast.plan import compile_schedule
from harmonica.method.schedule import Schedule
from harmonica.metrics.features import InceptionLayers, extract
from harmonica.weights.vae import decoded
from tools.gpu_evidence.speed import shapes

BATCH = 32


def items(sizes):
    yield "chain", partial(_chain, sizes)


def _chain(sizes):
    case = shapes(sizes.tiny)["DiT-XL/2 256"]()
    batch = 2 if sizes.tiny else BATCH
    vae, extractor = decoder(sizes), inception(sizes)
    half = case.schedules()["random CUR 50 %"]
    whole = Schedule(keep=half.keep | True)
    for name, schedule in {"all computed": whole, "random CUR 50 %": half}.items():
        sample = case.sampled(batch, compile_schedule(case.backbone, schedule, sizes.graph))
        latents = case.noise(batch).float() / vae.config.scaling_factor
        stages = {
            "sampling": sample,
            "decoder": partial(decoded, vae, latents),
            "Inception": partial(extract, decoded(vae, latents), extractor, batch),
        }
        seconds = {stage: _timed(function) for stage, function in stages.items()}
        yield {
            "schedule": name,
            "batch": batch,
            **{f"{stage}, images/s": batch / s for stage, s in seconds.items()},
            "images/s": batch / sum(seconds.values()),
        }


def _timed(function):
    function()
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def decoder(sizes):
    """An autoencoder of sd-vae-ft-ema's shape with random weights."""
    from diffusers import AutoencoderKL

    widths = (8, 8) if sizes.tiny else (128, 256, 512, 512)
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=1 if sizes.tiny else 2,
        norm_num_groups=4 if sizes.tiny else 32,
        latent_channels=4,
    )
    vae = vae.requires_grad_(False).eval().to(sizes.device)
    vae.enable_slicing()
    return vae


def inception(sizes):
    """Inception with random weights: torch-fidelity's class insists on reading a file, so it is
    given one without weights, and loading them is switched off.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    torch.manual_seed(0)
    with mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"):
        return InceptionLayers(nothing).to(sizes.device)
