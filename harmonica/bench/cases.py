"""The models that are timed: a digits model, or one of a published shape with random weights, on
the machine's device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from harmonica import samplers
from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import build
from harmonica.backbones.pixart import PixArt, TextCond
from harmonica.backbones.pixart import build as build_pixart
from harmonica.bench import timing
from harmonica.fast.plan import follow
from harmonica.method import masks
from harmonica.method.denoise import Denoiser
from harmonica.method.schedule import Schedule

TEXT_TOKENS, CAPTION_CHANNELS = 120, 4096


@dataclass(frozen=True)
class Case:
    """One model to time. cond(batch): its conditioning. theirs(model, x, t, cond): diffusers' own
    forward. guidance, num_steps: of a sampling run.
    """

    name: str
    backbone: Any
    cond: Callable
    theirs: Callable
    num_steps: int
    repeats: int
    guidance: float = 1.0
    more: Any = None  # schedules, by name

    def noise(self, batch):
        shape = self.backbone.in_channels, self.backbone.sample_size, self.backbone.sample_size
        like = next(self.backbone.parameters())
        return torch.randn(batch, *shape, generator=_seeded(0)).to(like)

    def denoiser(self, batch):
        sampler = samplers.load("ddim")
        return Denoiser(
            self.backbone,
            sampler,
            sampler.timesteps(self.num_steps),
            self.cond(batch),
            scale=self.guidance,
        )

    def schedules(self):
        """{name: Schedule}: random ones at three CURs, FORA at interval 2, the random one of 50 %
        with all skipped blocks predicted from two features, and those in `more`.
        """
        blocks = self.backbone.num_blocks
        by_name = {
            f"random CUR {cur:g} %": masks.random(
                self.num_steps, blocks, masks.budget(cur, self.num_steps, blocks), 0
            )
            for cur in (25, 37.5, 50)
        }
        half = by_name["random CUR 50 %"]
        by_name["FORA 2"] = masks.fora(self.num_steps, blocks)
        by_name = {name: Schedule(keep=keep) for name, keep in by_name.items()}
        predicted = {"random CUR 50 %, predicted": self._predicted(half)}
        return by_name | predicted | (self.more or {})

    def _predicted(self, keep):
        """A Schedule whose skipped blocks are predicted, from two features once a block has
        computed twice. The values of the weights do not matter for timing.
        """
        line = torch.tensor([1.5, -0.5, 0.0], dtype=torch.float16)
        reused = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float16)
        num_computed = keep.cumsum(0)
        width = self.backbone.model.inner_dim
        weights = {
            (step, i): (line if num_computed[step, i] > 1 else reused)[:, None].expand(3, width)
            for step, i in (~keep).nonzero().tolist()
        }
        return Schedule(keep=keep, weights=weights)

    def modules(self, backend):
        """The backbone if this backend calls its modules, else None: hooks on them would do
        nothing.
        """
        return self.backbone if backend == "eager" else None

    def sampled(self, batch, plan):
        """-> a function that samples one batch."""
        denoiser, x = self.denoiser(batch), self.noise(batch)
        forward = follow(denoiser, plan)
        return timing.waiting(lambda: denoiser.walk(denoiser.begin(x), forward))


def dit_s2():
    """DiT-S/2 at 256 px, 256 tokens. Four steps are enough, as ratios hardly depend on their
    number.
    """
    return dit(384, depth=12, heads=6, name="DiT-S/2", num_steps=4, guidance=1.0)


def dit_xl2(sample_size=32):
    return dit(1152, depth=28, heads=16, sample_size=sample_size, name="DiT-XL/2")


def dit(width, *, depth, heads, sample_size=32, name="DiT", num_steps=20, guidance=1.5):
    """A DiT of this shape with random weights."""
    torch.manual_seed(0)
    shape = {"width": width, "depth": depth, "heads": heads, "sample_size": sample_size}
    model = _placed(build(patch=2, channels=4, out_channels=8, num_classes=1000, **shape))
    name = f"{name} {8 * sample_size} shape"
    return of_dit(name, model, num_steps=num_steps, repeats=5, guidance=guidance)


def pixart(sample_size, depth=28, heads=16):
    """A PixArt of PixArt-alpha's shape with random weights; at 1024 px it has size conditions."""
    torch.manual_seed(0)
    sized = sample_size == 128
    shape = {"width": 72 * heads, "depth": depth, "heads": heads, "sample_size": sample_size}
    model = build_pixart(patch=2, channels=4, text_width=CAPTION_CHANNELS, sizes=sized, **shape)
    model = _placed(model)
    return Case(
        f"PixArt-alpha {8 * sample_size} shape",
        PixArt(model),
        partial(_texts, next(model.parameters()), 8.0 * sample_size if sized else None),
        _theirs_of_pixart,
        num_steps=20,
        repeats=5,
        guidance=4.5,
    )


def _texts(like, side, batch):
    """The conditioning of a batch: one random text for all images and for the null text. like: a
    tensor with the wanted dtype and device. side: in pixels, for a model with size conditions.
    """
    text = torch.randn(1, TEXT_TOKENS, CAPTION_CHANNELS, generator=_seeded(1)).to(like)
    mask = torch.ones(1, TEXT_TOKENS, device=like.device)
    sizes = (None, None)
    if side:
        resolution = torch.full((batch, 2), side, device=like.device)
        sizes = resolution, resolution[:, :1] / resolution[:, 1:]
    return TextCond(text.repeat(batch, 1, 1), mask.repeat(batch, 1), *sizes, text, mask)


def _theirs_of_pixart(model, x, t, cond):
    sizes = {"resolution": cond.resolution, "aspect_ratio": cond.aspect_ratio}
    return model(
        x,
        encoder_hidden_states=cond.embeds,
        encoder_attention_mask=cond.mask,
        timestep=t,
        added_cond_kwargs=sizes,
    ).sample


def of_dit(name, model, **settings):
    """The Case of a diffusers DiT, in diffusers' numerics: these take the same work as the official
    ones, and their output can be compared bit for bit.
    """
    backbone = DiT(model, "diffusers")
    device = next(model.parameters()).device
    return Case(
        name,
        backbone,
        lambda batch: torch.arange(batch, device=device) % backbone.num_classes,
        lambda model, x, t, cond: model(x, timestep=t, class_labels=cond).sample,
        **settings,
    )


def _placed(model):
    """The model, frozen, on the GPU in bfloat16 if there is one."""
    if torch.cuda.is_available():
        model = model.to(device="cuda", dtype=torch.bfloat16)
    return model.eval().requires_grad_(False)


def _seeded(seed):
    return torch.Generator().manual_seed(seed)
