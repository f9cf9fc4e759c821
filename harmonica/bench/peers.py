"""The caches of diffusers and cache-dit against a searched schedule: error and time, same noise.

On the PixArt pipeline that ships here. Every cache is given the setting that computes nearest to
SHARE of all attentions and feed-forwards, a context of its own for each call, and no state of an
earlier one. The schedule is searched once for each number of steps and guidance, and computes no
more than the cache that computes least. error: mean squared difference of the final latents from
the uncached ones. ratio: their time over ours, whole calls; speedup: uncached over ours.
"""

import ast
import copy
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import torch
from diffusers import PixArtAlphaPipeline, hooks
from diffusers.hooks import HookRegistry
from diffusers.models.cache_utils import CacheMixin

import harmonica
from harmonica.bench import timing
from harmonica.digits.captions import caption
from harmonica.digits.manifest import folder

MODEL, IMAGES, SEARCHED, SHARE, REPEATS = "pixart-digits-s0", 32, 24, 0.65, 5
CALLS = ((10, 1.0), (10, 4.5), (20, 1.0), (20, 4.5))  # steps, guidance
UNITS = r"transformer_blocks\.\d+\.(attn1|attn2|ff)"
THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class Peer:
    """A cache of another package. enable(run, setting) lets run.pipe use it."""

    name: str
    settings: tuple
    enable: Callable


@dataclass(frozen=True)
class Run:
    """One pipeline, and the call that is compared."""

    pipe: PixArtAlphaPipeline
    steps: int
    guidance: float

    def fresh(self):
        """The same of a pipeline of its own, and of a class of its own, which some caches patch."""
        kind = type("PixArtAlphaPipeline", (PixArtAlphaPipeline,), {})
        parts = {
            **self.pipe.components,
            "transformer": copy.deepcopy(self.pipe.transformer),
            "scheduler": type(self.pipe.scheduler).from_config(self.pipe.scheduler.config),
        }
        pipe = kind(**parts)
        pipe.set_progress_bar_config(disable=True)
        return Run(pipe, self.steps, self.guidance)

    def latents(self):
        model = self.pipe.transformer
        registry = HookRegistry.check_if_exists_or_initialize(model)
        registry.reset_stateful_hooks(recurse=True)
        with CacheMixin.cache_context(model, "call"):
            return self.ours()

    def ours(self):
        """The call alone: no cache of diffusers is at work."""
        size = self.pipe.transformer.config.sample_size
        shape = IMAGES, self.pipe.transformer.config.in_channels, size, size
        return self.pipe(
            [caption(k) for k in range(IMAGES)],
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            latents=torch.randn(shape, generator=torch.Generator().manual_seed(1)),
            use_resolution_binning=False,
            clean_caption=False,
            output_type="latent",
        ).images

    def computed(self):
        """-> latents, and the share of attentions and feed-forwards that ran."""
        blocks, calls = self.pipe.transformer.transformer_blocks, []
        inner = [part for b in blocks for part in (b.attn1.to_q, b.attn2.to_q, b.ff.net[0])]
        handles = [part.register_forward_hook(lambda *_: calls.append(1)) for part in inner]
        x = self.latents()
        for handle in handles:
            handle.remove()
        return x, len(calls) / (len(inner) * self.steps)


def rows(setting):
    pipe = PixArtAlphaPipeline.from_pretrained(folder(MODEL) / MODEL)
    pipe.set_progress_bar_config(disable=True)
    for steps, guidance in CALLS:
        run = Run(pipe, steps, guidance)
        exact = run.ours()
        found = [chosen(peer, run, exact) for peer in peers()]
        found = [one for one in found if one]
        ours = run.fresh()
        schedule = searched(run, min(share for _, _, share, _ in found))
        with harmonica.apply(ours.pipe, schedule):
            error = mean_square(ours.ours() - exact)
            uncached = timing.compare(
                timing.waiting(run.ours), {"": timing.waiting(ours.ours)}, REPEATS
            )
            for name, theirs, share, their_error in found:
                sides = {"": timing.waiting(ours.ours)}
                row = timing.compare(timing.waiting(theirs.latents), sides, REPEATS)[""]
                yield (
                    {
                        "T": steps,
                        "guidance": guidance,
                        "cache": name,
                        "computed_percent": 100 * share,
                        "error": their_error,
                        "our_computed_percent": 100 - schedule.cur_percent,
                        "our_error": error,
                        "speedup": uncached[""]["ratio"],
                        **row,
                    },
                    None,
                )


def chosen(peer, run, exact):
    """-> name with setting, its Run, share computed, error: of the setting that computes nearest to
    SHARE. None where every setting computes everything.
    """
    tried = []
    for setting in peer.settings:
        own = run.fresh()
        peer.enable(own, setting)
        x, share = own.computed()
        if share < 1:
            tried.append((f"{peer.name} {setting}", own, share, mean_square(x - exact)))
    return min(tried, key=lambda one: abs(one[2] - SHARE), default=None)


def searched(run, share):
    """The schedule that computes at most this share."""
    whole = run.steps * len(run.pipe.transformer.transformer_blocks) * 3
    cur = 100 * (whole - int(share * whole + 1e-6)) / whole
    own = run.fresh()
    return harmonica.search(
        own.pipe,
        [caption(k) for k in range(IMAGES)],
        steps=run.steps,
        cur=cur,
        guidance=run.guidance,
        images=SEARCHED,
        rounds=0,
        quiet=True,
    )


def mean_square(difference):
    return float(difference.square().mean())


def peers():
    """Those whose packages are here."""
    own = [
        Peer("FirstBlockCache", THRESHOLDS, first_block),
        Peer("MagCache", THRESHOLDS, mag),
        Peer("PyramidAttentionBroadcast", (2, 3, 4), pyramid),
        Peer("TaylorSeer", (1, 2, 3), taylor),
    ]
    if not find_spec("cache_dit"):
        return own
    more = {"": None, " TaylorSeer": "TaylorSeerCalibratorConfig", " DMD": "DMDCalibratorConfig"}
    for name, calibrator in more.items():
        own.append(Peer(f"cache-dit mask{name}", ("1010",), cache_dit(calibrator)))
        own.append(Peer(f"cache-dit DBCache{name}", THRESHOLDS, cache_dit(calibrator)))
    return own


def first_block(run, threshold):
    config = hooks.FirstBlockCacheConfig(threshold=threshold)
    hooks.apply_first_block_cache(run.pipe.transformer, config)


def mag(run, threshold):
    """Calibrated on the same call, which prints what it found."""
    printed, calibrated = io.StringIO(), run.fresh()
    config = hooks.MagCacheConfig(calibrate=True, num_inference_steps=run.steps)
    hooks.apply_mag_cache(calibrated.pipe.transformer, config)
    with redirect_stdout(printed):
        calibrated.latents()
    lines = printed.getvalue().splitlines()
    (ratios,) = {line for line in lines if line.startswith("[") and line.endswith("]")}
    config = hooks.MagCacheConfig(
        threshold=threshold,
        num_inference_steps=run.steps,
        mag_ratios=ast.literal_eval(ratios),
    )
    hooks.apply_mag_cache(run.pipe.transformer, config)


def pyramid(run, interval):
    """Both attentions at every step of this interval, at all timesteps."""
    now = []
    run.pipe.transformer.register_forward_pre_hook(
        lambda model, args, options: now.append(int(options["timestep"].flatten()[0])),
        with_kwargs=True,
    )
    config = hooks.PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=interval,
        cross_attention_block_skip_range=interval,
        spatial_attention_timestep_skip_range=(-1, 1001),
        cross_attention_timestep_skip_range=(-1, 1001),
        current_timestep_callback=lambda: now[-1],
    )
    hooks.apply_pyramid_attention_broadcast(run.pipe.transformer, config)


def taylor(run, interval):
    """All attentions and feed-forwards; its default patterns find nothing here."""
    config = hooks.TaylorSeerCacheConfig(
        cache_interval=interval,
        disable_cache_before_step=2,
        taylor_factors_dtype=torch.float32,
        cache_identifiers=[UNITS],
    )
    hooks.apply_taylorseer_cache(run.pipe.transformer, config)


def cache_dit(calibrator):
    """-> enable(run, setting): every second step by a mask, or a threshold; the first block always
    computes, as it must there.
    """

    def enable(run, setting):
        package = import_module("cache_dit")
        how = {"residual_diff_threshold": setting, "max_warmup_steps": 2}
        if setting == "1010":
            mask = [1, 0] * (run.steps // 2)
            how = {"steps_computation_mask": mask, "steps_computation_policy": "static"}
        config = package.DBCacheConfig(
            Fn_compute_blocks=1, Bn_compute_blocks=0, num_inference_steps=run.steps, **how
        )
        calibrated = calibrator and getattr(package, calibrator)()
        package.enable_cache(run.pipe, cache_config=config, calibrator_config=calibrated)

    return enable
