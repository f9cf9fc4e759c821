"""Trains PixArt-digits: a small PixArt on the digits, together with its byte-level T5 text encoder.

The loss is the hybrid of Nichol & Dhariwal (2021), L_simple + 0.001 L_vlb, where L_vlb has no
gradient in the mean. L_vlb sums over 1000 timesteps; one is drawn uniformly and stands for all of
them, so its KL has the weight 0.001 * 1000 = 1. The term of t = 0 is left out, as no sampler draws
noise there. (Its posterior variance would be zero; the one of t = 1 is used, as in their code.)
pixart_folder.py writes the model in the form in which it ships.
"""

import math
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import T5Config, T5EncoderModel

from harmonica.backbones import pixart
from harmonica.digits import data
from harmonica.digits.base import Training, fit
from harmonica.digits.manifest import state_path
from harmonica.digits.models import with_captions
from harmonica.digits.pixart_folder import folder_sha256, load, save, tokenize
from harmonica.digits.quality import quality, sampled
from harmonica.samplers.ddim import TRAIN_STEPS, alphas_cumprod

BYTE_VOCABULARY = 384


@dataclass(frozen=True, kw_only=True)
class PixArtTraining(Training):
    """The architecture and training of a PixArt-digits with its text encoder."""

    depth: int = 4
    text_width: int = 64
    text_depth: int = 2
    caption_dropout: float = 0.1


def make(name, config, out):
    """As base.make, for a PixArtTraining and into the folder `out`/`name`."""
    folder = Path(out) / name
    save(train(config, state_path(out, name)), folder)
    return {
        "sha256": folder_sha256(folder),
        "training": asdict(config),
        "quality": quality(sampled(with_captions(*load(folder)))),
    }


def train(config, state_path, save_every=250):
    """Train from scratch, or resume from `state_path` where it exists -> {transformer,
    text_encoder} with EMA weights.
    """
    torch.manual_seed(config.seed)
    model = build(config)
    images, labels = data.load("train")
    batches = Batches(torch.from_numpy(images), labels, config)
    fit(model, batches.draw, partial(hybrid_loss, model), config, state_path, save_every)
    return model


def build(config):
    """The untrained transformer and text encoder, a ModuleDict in eval(). They are initialised as
    in PixArt: cross-attention and output start at zero.
    """
    transformer = pixart.build(
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        patch=config.patch,
        sample_size=data.SIDE,
        channels=1,
        text_width=config.text_width,
    )
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    embedder = transformer.adaln_single.emb.timestep_embedder
    for linear in (embedder.linear_1, embedder.linear_2, transformer.adaln_single.linear):
        nn.init.normal_(linear.weight, std=0.02)
    for zero in [block.attn2.to_out[0] for block in transformer.transformer_blocks] + [
        transformer.proj_out
    ]:
        nn.init.zeros_(zero.weight)
    text_encoder = T5EncoderModel(
        T5Config(
            vocab_size=BYTE_VOCABULARY,
            d_model=config.text_width,
            d_kv=config.text_width // 4,
            num_heads=4,
            d_ff=2 * config.text_width,
            num_layers=config.text_depth,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
        )
    )
    return nn.ModuleDict({"transformer": transformer, "text_encoder": text_encoder}).eval()


class Batches:
    """Training batches: images, their captions or the empty one, timesteps and noise. All depend on
    (seed, step) alone.
    """

    def __init__(self, images, labels, config):
        self.images, self.labels, self.config = images, labels, config
        self.tokens = tokenize(data.prompts())

    def draw(self, step):
        """-> x0 (B, 1, 8, 8), t (B,), eps as x0, ids and mask (B, bytes)."""
        count = self.config.batch
        rng = np.random.default_rng([self.config.seed, step])
        pick, t = rng.integers(len(self.images), size=count), rng.integers(TRAIN_STEPS, size=count)
        eps = torch.from_numpy(
            rng.standard_normal((count, *self.images.shape[1:]), dtype=np.float32)
        )
        k = self.labels[pick] + data.NUM_CLASSES * rng.integers(len(data.TEMPLATES), size=count)
        k[rng.random(count) < self.config.caption_dropout] = data.NUM_CAPTIONS
        ids, mask = (tokens[k] for tokens in self.tokens)
        return self.images[pick], torch.from_numpy(t), eps, ids, mask


def hybrid_loss(model, x0, t, eps, ids, mask):
    """L_simple + 0.001 L_vlb of a batch; L_vlb in bits per pixel, for all 1000 timesteps."""
    a = torch.from_numpy(alphas_cumprod())
    a_before = torch.cat([torch.ones(1, dtype=a.dtype), a[:-1]])
    beta = 1 - a / a_before
    # log variance of the posterior q(x_t-1 | x_t, x_0)
    least = (beta * (1 - a_before) / (1 - a))[t.clamp(min=1)].log()
    most = beta[t].log()
    # the mean is linear in eps with this factor
    to_mean = beta[t] / ((1 - beta[t]) * (1 - a[t])).sqrt()
    least, most, to_mean, a = (v.float().view(-1, 1, 1, 1) for v in (least, most, to_mean, a[t]))
    x = a.sqrt() * x0 + (1 - a).sqrt() * eps
    text = model["text_encoder"](ids, attention_mask=mask).last_hidden_state
    out = model["transformer"](
        x, encoder_hidden_states=text, encoder_attention_mask=mask, timestep=t, return_dict=False
    )[0]
    predicted, share = out[:, :1], (out[:, 1:] + 1) / 2
    log_var = share * most + (1 - share) * least
    error = (to_mean * (predicted.detach() - eps)).square()
    kl = 0.5 * (log_var - least - 1 + (least - log_var).exp() + error * (-log_var).exp())
    kl = kl[t > 0].sum() / x0.numel() / math.log(2)
    return F.mse_loss(predicted, eps) + 0.001 * TRAIN_STEPS * kl
