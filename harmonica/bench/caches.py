"""The caches of other packages that peers.py compares with, each with its settings."""

import ast
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import torch
from diffusers import hooks

UNITS = r"transformer_blocks\.\d+\.(attn1|attn2|ff)"
THRESHOLDS = (0.1, 0.2, 0.3)


@dataclass(frozen=True)
class Cache:
    """A cache of another package. enable(run, setting) applies it to run.pipe (run: a
    peers.Run).
    """

    name: str
    settings: tuple
    enable: Callable
    package: str = "diffusers"


def caches():
    """The caches whose packages are installed."""
    installed = [
        Cache("FirstBlockCache", THRESHOLDS, first_block),
        Cache("MagCache", THRESHOLDS, mag),
        Cache("PyramidAttentionBroadcast", (2, 3, 4), pyramid),
        Cache("TaylorSeer", (1, 2, 3), taylor),
    ]
    if not find_spec("cache_dit"):
        return installed
    calibrators = {
        "": None,
        " TaylorSeer": "TaylorSeerCalibratorConfig",
        " DMD": "DMDCalibratorConfig",
    }
    for name, calibrator in calibrators.items():
        enable = cache_dit(calibrator)
        installed.append(Cache(f"mask{name}", ("1010",), enable, "cache-dit"))
        installed.append(Cache(f"DBCache{name}", THRESHOLDS, enable, "cache-dit"))
    return installed


def first_block(run, threshold):
    config = hooks.FirstBlockCacheConfig(threshold=threshold)
    hooks.apply_first_block_cache(run.pipe.transformer, config)


def mag(run, threshold):
    """Calibrated on the same call. diffusers prints the ratios it finds, so they are read from
    stdout.
    """
    printed = io.StringIO()
    calibrated = run.fresh()
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
    """Both attentions are computed once per `interval` calls, at all timesteps."""
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
    """On all attentions and feed-forwards, named here as its default patterns match
    none of them.
    """
    config = hooks.TaylorSeerCacheConfig(
        cache_interval=interval,
        disable_cache_before_step=2,
        taylor_factors_dtype=torch.float32,
        cache_identifiers=[UNITS],
    )
    hooks.apply_taylorseer_cache(run.pipe.transformer, config)


def cache_dit(calibrator):
    """-> enable(run, setting). setting: "1010", a mask that computes every second step, or a
    threshold. The first block always computes, which cache-dit requires.
    """

    def enable(run, setting):
        package = import_module("cache_dit")
        options = {"residual_diff_threshold": setting, "max_warmup_steps": 2}
        if setting == "1010":
            mask = [1, 0] * (run.steps // 2)
            options = {"steps_computation_mask": mask, "steps_computation_policy": "static"}
        config = package.DBCacheConfig(
            Fn_compute_blocks=1, Bn_compute_blocks=0, num_inference_steps=run.steps, **options
        )
        calibrated = calibrator and getattr(package, calibrator)()
        package.enable_cache(run.pipe, cache_config=config, calibrator_config=calibrated)

    return enable
