"""What is timed: the digits model, and the shapes of published models with random weights, on the
machine's device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from diffusers import PixArtTransformer2DModel

from harmonica import samplers
from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import build
from harmonica.backbones.pixart import PixArt, TextCond
from harmonica.bench import timing
from harmonica.digits.manifest import manifest
from harmonica.errors import check
from harmonica.fast.plan import BACKENDS, compile_mask, follow
from harmonica.lab.makings import ModelSpec
from harmonica.lab.models import load_model
from harmonica.method import schedules
from harmonica.method.denoise import Denoiser
from harmonica.method.schedule import Schedule

TEXT_TOKENS, CAPTION_CHANNELS = 120, 4096
FEW_ROWS = 2  # distinct rows up to which a mask is compiled here: torch.compile takes long for each


@dataclass(frozen=True)
class Case:
    """One model. cond(batch); theirs(model, x, t, cond): diffusers' own forward; guidance and steps
    of a sampling run.
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
        own = next(self.backbone.parameters())
        return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0)).to(
            own.device, own.dtype
        )

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
        """name -> Schedule: random ones of three CURs, FORA at interval 2, the random one of 50 %
        with every skipped block predicted from two features; and the case's own.
        """
        blocks = self.backbone.num_blocks
        found = {
            f"random CUR {cur:g} %": schedules.random(
                self.num_steps, blocks, schedules.budget(cur, self.num_steps, blocks), 0
            )
            for cur in (25, 37.5, 50)
        }
        half = found["random CUR 50 %"]
        found["FORA 2"] = schedules.fora(self.num_steps, blocks)
        found = {name: Schedule(keep=keep) for name, keep in found.items()}
        predicted = {"random CUR 50 %, predicted": self._predicted(half)}
        return found | predicted | (self.more or {})

    def _predicted(self, keep):
        """A mask whose skipped blocks are predicted, from two features where two are there; the
        values do not matter.
        """
        line = torch.tensor([1.5, -0.5, 0.0], dtype=torch.float16)
        same = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float16)
        known, width = keep.cumsum(0), self.backbone.model.inner_dim
        weights = {
            (step, i): (line if known[step, i] > 1 else same)[:, None].expand(3, width)
            for step, i in (~keep).nonzero().tolist()
        }
        return Schedule(keep=keep, weights=weights)

    def modules(self, backend):
        """The backbone where this backend calls its modules, else None: hooks on them would be
        nothing or a recompilation.
        """
        return self.backbone if backend == "eager" else None

    def sampled(self, batch, plan):
        """-> a function that samples one batch."""
        denoiser, x = self.denoiser(batch), self.noise(batch)
        forward = follow(denoiser, plan)
        return timing.waiting(lambda: denoiser.walk(denoiser.begin(x), forward))


class Setting:
    """What this machine measures. backends: None for all that the device has. compiled: for which
    batch sizes diffusers' own model is compiled, too (on a GPU).
    """

    compiled = (1, 8)

    def __init__(self, model, repeats, backends=None):
        names = [name for name in manifest() if "pixart" not in name]
        check(model in names, "model", model, f"choose one of {', '.join(names)}")
        self.model, self.repeats, self.cuda = model, repeats, torch.cuda.is_available()
        check(
            self.cuda or "cudagraph" not in (backends or ()),
            "backends",
            "cudagraph",
            "CUDA graphs need a CUDA device",
        )
        self.backends = backends or [
            backend for backend in BACKENDS if self.cuda or backend != "cudagraph"
        ]

    @cached_property
    def digits(self):
        loaded = load_model(
            ModelSpec(name=self.model, sha256=manifest()[self.model]["sha256"], scale="digits")
        )
        return _dit(
            f"digits ({self.model})", loaded.backbone.model, num_steps=20, repeats=self.repeats
        )

    def forward_cases(self):
        """-> (case, batch sizes); large models are made one at a time."""
        if not self.cuda:
            return [(self.digits, (1, 16, 128)), (dit_s2(), (1, 8))]
        return (
            (make(), (1, 8))
            for make in (dit_xl2, lambda: dit_xl2(64), lambda: pixart(64), lambda: pixart(128))
        )

    def sampling_cases(self):
        """-> (case, batch sizes, batch sizes to compile for)."""
        if not self.cuda:
            return [(self.digits, (1, 8, 16, 32), (1,)), (dit_s2(), (1, 16), ())]
        return ((make(), (1, 8, 32), (1, 8)) for make in (dit_xl2, lambda: pixart(64)))

    def training_case(self):
        """-> case, batch size before guidance."""
        return (dit_xl2(), 32) if self.cuda else (self.digits, 16)

    def plans(self, case, batch, compiled_batches, keep, weights=None):
        """The Plan of a mask, and of the weights of its predicted entries, per backend of this
        machine.
        """
        return {
            backend: compile_mask(case.backbone, keep, backend, weights)
            for backend in self.backends
            if backend != "compile"
            or batch in compiled_batches
            and len(keep.unique(dim=0)) <= FEW_ROWS
        }


def dit_s2():
    """DiT-S/2 at 256 px: 256 tokens. Four steps: a ratio does not depend on how often they are
    repeated.
    """
    return dit(384, depth=12, heads=6, name="DiT-S/2", num_steps=4, guidance=1.0)


def dit_xl2(sample_size=32):
    return dit(1152, depth=28, heads=16, sample_size=sample_size, name="DiT-XL/2")


def dit(width, *, depth, heads, sample_size=32, name="DiT", num_steps=20, guidance=1.5):
    """A DiT of this shape with random weights."""
    model = _random_dit(width=width, depth=depth, heads=heads, sample_size=sample_size)
    name = f"{name} {8 * sample_size} shape"
    return _dit(name, model, num_steps=num_steps, repeats=5, guidance=guidance)


def pixart(sample_size, depth=28, heads=16):
    """PixArt-alpha's shape; at 1024 px it has size conditions."""
    torch.manual_seed(0)
    sized = sample_size == 128
    model = _placed(
        PixArtTransformer2DModel(
            sample_size=sample_size,
            num_layers=depth,
            num_attention_heads=heads,
            attention_head_dim=72,
            in_channels=4,
            out_channels=8,
            patch_size=2,
            cross_attention_dim=72 * heads,
            caption_channels=CAPTION_CHANNELS,
            attention_bias=True,
            norm_type="ada_norm_single",
            use_additional_conditions=sized,
        )
    )
    own = next(model.parameters())

    def cond(batch):
        text = torch.randn(
            1, TEXT_TOKENS, CAPTION_CHANNELS, generator=torch.Generator().manual_seed(1)
        )
        text, mask = text.to(own.device, own.dtype), torch.ones(1, TEXT_TOKENS, device=own.device)
        side = torch.full((batch, 2), 8.0 * sample_size, device=own.device)
        return TextCond(
            text.repeat(batch, 1, 1),
            mask.repeat(batch, 1),
            *((side, side[:, :1] / side[:, 1:]) if sized else (None, None)),
            text,
            mask,
        )

    def theirs(model, x, t, cond):
        sizes = {"resolution": cond.resolution, "aspect_ratio": cond.aspect_ratio}
        return model(
            x,
            encoder_hidden_states=cond.embeds,
            encoder_attention_mask=cond.mask,
            timestep=t,
            added_cond_kwargs=sizes,
        ).sample

    return Case(
        f"PixArt-alpha {8 * sample_size} shape",
        PixArt(model),
        cond,
        theirs,
        num_steps=20,
        repeats=5,
        guidance=4.5,
    )


def _dit(name, model, **settings):
    backbone = DiT(
        model, "diffusers"
    )  # the same work as with the official numerics, and bits to compare with
    device = next(model.parameters()).device
    return Case(
        name,
        backbone,
        lambda batch: torch.arange(batch, device=device) % backbone.num_classes,
        lambda model, x, t, cond: model(x, timestep=t, class_labels=cond).sample,
        **settings,
    )


def _random_dit(**shape):
    torch.manual_seed(0)
    return _placed(build(patch=2, channels=4, out_channels=8, num_classes=1000, **shape))


def _placed(model):
    """On the GPU in bfloat16 where there is one, frozen."""
    if torch.cuda.is_available():
        model = model.to(device="cuda", dtype=torch.bfloat16)
    return model.eval().requires_grad_(False)
