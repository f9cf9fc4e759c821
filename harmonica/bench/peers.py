"""The caches of diffusers and cache-dit against searched schedules: the error of the final latents
from the same noise, and the time of whole calls.

The pipeline is the PixArt that ships here. Every cache is given the setting that computes nearest
to SHARE of all attentions and feed-forwards; every call has a cache context of its own and no state
of an earlier one. For each number of steps and guidance two schedules are searched: one computes no
more than the cache that computes least, the other no more than the cache whose error is least.
Beside a cache stands the schedule that computes more, of those that compute no more than the cache.
error: mean squared difference of the final latents from the uncached ones. ratio: the cache's time
over the schedule's, all timed in turn. speedup: the uncached time over the schedule's.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import torch
from diffusers import PixArtAlphaPipeline
from diffusers.hooks import HookRegistry
from diffusers.models.cache_utils import CacheMixin

import harmonica
from harmonica.bench import timing
from harmonica.bench.caches import caches
from harmonica.digits.data import caption
from harmonica.digits.manifest import folder
from harmonica.lab.latency import interleaved

MODEL, IMAGES, SEARCHED, SHARE, REPEATS = "pixart-digits-s0", 32, 16, 0.65, 2
CALLS = ((10, 1.0), (10, 4.5), (20, 1.0), (20, 4.5))  # steps, guidance


@dataclass(frozen=True)
class Candidate:
    """One cache with its setting, or one schedule. share: the share of all attentions and
    feed-forwards that it computes. call(): calls the pipeline.
    """

    package: str
    name: str
    share: float
    error: float
    call: Callable


@dataclass(frozen=True)
class Run:
    """One pipeline, and the call of it that is compared."""

    pipe: PixArtAlphaPipeline
    steps: int
    guidance: float

    def fresh(self):
        """The same Run on a copy of the pipeline, with a class of its own, as some caches patch
        that.
        """
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
            return self.plain_latents()

    def plain_latents(self):
        """The latents without a cache context, for pipelines that no cache of diffusers is applied
        to: the uncached one, and ours under a schedule.
        """
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
        """-> the latents, and the share of attentions and feed-forwards that were computed."""
        blocks = self.pipe.transformer.transformer_blocks
        calls = []
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
        exact = run.plain_latents()
        theirs = [candidate for cache in caches() if (candidate := chosen(cache, run, exact))]
        closest = min(theirs, key=lambda candidate: candidate.error)
        shares = {min(candidate.share for candidate in theirs), closest.share}
        ours = [searched(run, exact, share) for share in sorted(shares)]
        for row in compared(run, theirs, ours):
            yield {"T": steps, "guidance": guidance, **row}, None


def compared(run, theirs, ours):
    """-> a row for each Candidate in `theirs`. ours: schedules, the ones that compute
    less first.
    """
    calls = {id(candidate): timing.waiting(candidate.call) for candidate in (*theirs, *ours)}
    seconds = interleaved({None: timing.waiting(run.plain_latents), **calls}, REPEATS)
    for cache in theirs:
        schedule = [candidate for candidate in ours if candidate.share <= cache.share + 1e-6][-1]
        yield {
            "package": cache.package,
            "cache": cache.name,
            "computed_percent": 100 * cache.share,
            "error": cache.error,
            "our_computed_percent": 100 * schedule.share,
            "our_error": schedule.error,
            "speedup": timing.row(seconds[None], seconds[id(schedule)])["ratio"],
            **timing.row(seconds[id(cache)], seconds[id(schedule)]),
        }


def chosen(cache, run, exact):
    """The Candidate of a cache with the setting whose computed share is nearest to SHARE; None
    where every setting computes everything. exact: the uncached latents.
    """
    candidates = []
    for setting in cache.settings:
        fresh = run.fresh()
        cache.enable(fresh, setting)
        x, share = fresh.computed()
        if share < 1:
            package = f"{cache.package} {version(cache.package)}"
            name = f"{cache.name} {setting}"
            error = mean_square(x - exact)
            candidates.append(Candidate(package, name, share, error, fresh.latents))
    return min(candidates, key=lambda candidate: abs(candidate.share - SHARE), default=None)


def searched(run, exact, share):
    """The Candidate of a schedule that computes at most this share."""
    units = run.steps * len(run.pipe.transformer.transformer_blocks) * 3
    cur = 100 * (units - int(share * units + 1e-6)) / units
    fresh = run.fresh()
    schedule = harmonica.search(
        fresh.pipe,
        [caption(k) for k in range(IMAGES)],
        steps=run.steps,
        cur=cur,
        guidance=run.guidance,
        images=SEARCHED,
        rounds=0,
        refit=False,
        quiet=True,
    )
    harmonica.apply(fresh.pipe, schedule)
    share = 1 - schedule.cur_percent / 100
    error = mean_square(fresh.plain_latents() - exact)
    return Candidate("harmonica", "search", share, error, fresh.plain_latents)


def mean_square(difference):
    return float(difference.square().mean())
