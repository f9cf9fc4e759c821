"""The form in which PixArt-digits ships: the folder of a diffusers PixArtAlphaPipeline, with the
transformer in float16.

    pipe = PixArtAlphaPipeline.from_pretrained(folder)
    pipe("a handwritten three", guidance_scale=1.0, use_resolution_binning=False)

PixArt's pipelines need a VAE and the digits do not. So the VAE here is an AutoencoderKL with one
pixel per latent whose weights are set by hand so that it is the identity (to 1e-4). Resolution
binning is off, as it knows only sizes of 256 pixels and more.
"""

import hashlib
from copy import deepcopy
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
)
from torch import nn
from transformers import ByT5Tokenizer, T5EncoderModel
from transformers.utils import logging

# bytes of the longest caption, with its end mark; the pipelines pad to 120 and mask the rest
MOST_BYTES = 24
CARRIER = 256.0  # the constant that decides the variance in the VAE's GroupNorm (see identity_vae)


def save(model, folder):
    """Write {transformer, text_encoder} as a pipeline folder.

    The text encoder stays float32: transformers would load it in the dtype of its file, diffusers
    in float32, and both must give the same.
    """
    scheduler = DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02)
    pipeline = PixArtAlphaPipeline(
        tokenizer=ByT5Tokenizer(),
        text_encoder=model["text_encoder"],
        vae=identity_vae(),
        transformer=nn.Module.half(deepcopy(model["transformer"])),
        scheduler=scheduler,
    )
    pipeline.save_pretrained(folder)


def load(folder):
    """-> the transformer and text encoder of a pipeline folder: float32, frozen, in eval()."""
    logging.disable_progress_bar()  # transformers' bar, needless for a model this small
    parts = (
        PixArtTransformer2DModel.from_pretrained(
            folder, subfolder="transformer", torch_dtype=torch.float32
        ),
        T5EncoderModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32),
    )
    return tuple(part.eval().requires_grad_(False) for part in parts)


def tokenize(prompts, length=MOST_BYTES):
    """-> ids and mask (len(prompts), length), as the PixArt pipelines make them."""
    tokens = ByT5Tokenizer()(prompts, padding="max_length", max_length=length, return_tensors="pt")
    if tokens.input_ids.shape[1] > length:
        raise ValueError(
            f"prompts: one has {tokens.input_ids.shape[1]} bytes with its end mark, "
            f"more than {length}"
        )
    return tokens.input_ids, tokens.attention_mask


def folder_sha256(folder):
    """sha256 over the names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        file_digest = hashlib.sha256(path.read_bytes())
        digest.update(f"{name} {file_digest.hexdigest()}\n".encode())
    return digest.hexdigest()


def identity_vae():
    """An AutoencoderKL, 1 -> 1 channel, whose encoder's mean and whose decoder are the identity on
    images in [-1, 1].

    Two of its 8 channels carry the image and its negative, two others a constant and its negative.
    The constant is so large that GroupNorm's variance is (CARRIER / 2)^2, whatever the image is.
    The residual layers add nothing, and silu(z) - silu(-z) = z gives the image back.
    """
    vae = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        latent_channels=1,
        block_out_channels=(8,),
        norm_num_groups=1,
        layers_per_block=1,
        sample_size=8,
        scaling_factor=1.0,
        force_upcast=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
    )
    with torch.no_grad():
        for module in vae.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.zero_()
                module.bias.zero_()
        for part in (vae.encoder, vae.decoder):
            part.conv_in.weight[:2, 0, 1, 1] = torch.tensor([1.0, -1.0])
            part.conv_in.bias[2:4] = torch.tensor([CARRIER, -CARRIER])
            part.conv_norm_out.weight.fill_(CARRIER / 2)
            part.conv_out.weight[0, :2, 1, 1] = torch.tensor([1.0, -1.0])
        vae.encoder.conv_out.bias[1] = -30.0  # the latent's log variance: practically no noise
    return vae.eval()
