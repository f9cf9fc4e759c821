"""What apply refuses or warns of, because images would silently be wrong or uncached: other caches,
loops that are not followed, pipelines that are none.
"""

import warnings

import diffusers
import pytest
import torch
from diffusers import PyramidAttentionBroadcastConfig
from diffusers.hooks import apply_pyramid_attention_broadcast
from test_apply import begun, every_second
from tiny_pipelines import flow, flux, pixart, run, untouched

import harmonica
from harmonica.errors import BadInput
from harmonica.pipeline.passes import Passes

CACHES = {
    "first block": diffusers.FirstBlockCacheConfig(threshold=0.5),
    "Taylor": diffusers.TaylorSeerCacheConfig(cache_interval=2, disable_cache_before_step=1),
    "attention": PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(-1, 2000),
        current_timestep_callback=lambda: 500,
    ),
}


def scheduled(make):
    """A pipeline, the arguments of its call, and a schedule that computes every second step."""
    pipe, inputs = make()
    return pipe, inputs, every_second(*begun(pipe, inputs))


@pytest.mark.parametrize("name", CACHES)
def test_another_cache_that_is_switched_on_later_is_refused_at_the_next_call(name):
    pipe, inputs, schedule = scheduled(flux)
    plain = run(pipe, inputs)
    with harmonica.apply(pipe, schedule):
        cached = run(pipe, inputs)
        pipe.transformer.enable_cache(CACHES[name])
        with pytest.raises(BadInput, match="another caching method is at work on it .*; disable"):
            run(pipe, inputs)
        pipe.transformer.disable_cache()
        assert torch.equal(run(pipe, inputs), cached)
    assert torch.equal(run(pipe, inputs), plain)


@pytest.mark.parametrize("before", [True, False])
def test_another_cache_on_the_attention_of_a_pixart_is_refused(before):
    pipe, inputs, schedule = scheduled(pixart)
    if before:
        apply_pyramid_attention_broadcast(pipe.transformer, CACHES["attention"])
    with pytest.raises(BadInput, match="another caching method is at work on it"):
        with harmonica.apply(pipe, schedule):
            apply_pyramid_attention_broadcast(pipe.transformer, CACHES["attention"])
            run(pipe, inputs)


class OwnLoop(diffusers.FluxPipeline):
    """A loop that steps `scheduler`, and opens and moves the progress bar only if that is asked."""

    scheduler_of_loop = None
    shows, total = True, 4

    def __call__(self, *, prompt_embeds, pooled_prompt_embeds, **_):
        x, self.steps = torch.ones(1, 16, 4), 0
        scheduler = self.scheduler_of_loop or self.scheduler
        for each in (self.scheduler, scheduler):
            each.set_timesteps(4)
        bar = self.progress_bar(total=self.total) if self.shows else None
        ids = {"img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(prompt_embeds.shape[1], 3)}
        text = {"encoder_hidden_states": prompt_embeds, "pooled_projections": pooled_prompt_embeds}
        for t in scheduler.timesteps:
            v = self.transformer(hidden_states=x, timestep=t[None] / 1000, **ids, **text)[0]
            x = scheduler.step(v, t, x, return_dict=False)[0]
            self.steps += 1
            if bar:
                bar.update()
        if bar:
            bar.close()
        return (x,)


@pytest.fixture
def own_loop():
    pipe, inputs, schedule = scheduled(flux)
    mine = OwnLoop(**pipe.components)
    mine.set_progress_bar_config(disable=True)
    return mine, inputs, schedule


def test_a_loop_without_a_bar_is_computed_whole_with_one_warning(own_loop):
    pipe, inputs, schedule = own_loop
    pipe.shows = False
    with torch.no_grad(), harmonica.apply(pipe, schedule):
        with pytest.warns(UserWarning, match="outside the steps of the pipeline") as seen:
            run(pipe, inputs)
    assert len(seen) == 1 and "tests" in seen[0].filename


def test_a_pipeline_made_of_the_parts_of_another_is_told_to_be_applied_to_itself():
    pipe, inputs, schedule = scheduled(flux)
    with harmonica.apply(pipe, schedule):
        second = diffusers.FluxPipeline(**pipe.components)
        second.set_progress_bar_config(disable=True)
        with pytest.warns(UserWarning, match="one made by from_pipe is another"):
            run(second, inputs)
        with pytest.raises(BadInput, match="another pipeline that shares it; harmonica.remove"):
            harmonica.apply(second, schedule)
        cached = run(pipe, inputs)
    with harmonica.apply(second, schedule), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(run(second, inputs), cached)


@pytest.mark.parametrize("total, steps", [(4, 2), (8, 4)])
def test_a_loop_over_a_scheduler_of_its_own_ends_as_soon_as_that_is_certain(own_loop, total, steps):
    """A bar that counts anything else than timesteps may be moved on within a step."""
    pipe, inputs, schedule = own_loop
    pipe.scheduler_of_loop, pipe.total = flow(), total
    with torch.no_grad(), harmonica.apply(pipe, schedule):
        if total == 4:
            with pytest.raises(BadInput, match="its loop does not step pipe.scheduler"):
                run(pipe, inputs)
        else:
            run(pipe, inputs)
    assert pipe.steps == steps
    pipe.scheduler_of_loop = None
    with torch.no_grad(), harmonica.apply(pipe, schedule):
        run(pipe, inputs)


@pytest.mark.parametrize("make", [flux, pixart])
@pytest.mark.parametrize("lacking", ["progress_bar", "scheduler"])
def test_a_pipeline_whose_steps_cannot_be_followed_is_refused_untouched(make, lacking):
    pipe, inputs, schedule = scheduled(make)
    if lacking == "scheduler":
        pipe.scheduler = None
    else:
        pipe.__class__ = type("Barless", (type(pipe),), {"progress_bar": property()})
    with pytest.raises(BadInput, match=f"it has no {lacking}: the DiffusionPipelines of diffusers"):
        harmonica.apply(pipe, schedule)
    assert not any("forward" in vars(module) for module in pipe.transformer.modules())


def test_whatever_fails_while_applying_leaves_the_pipeline_as_it_was(monkeypatch):
    pipe, inputs, schedule = scheduled(flux)
    plain = run(pipe, inputs)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    for owner, name, fails in (
        (torch.nn.Module, "register_forward_hook", interrupted),
        (Passes, "_in_context", property(interrupted)),  # read once the units are in place
    ):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, name, fails)
            harmonica.apply(pipe, schedule)
        assert untouched(pipe)
    assert torch.equal(run(pipe, inputs), plain)


@pytest.mark.parametrize("part", ["nothing", "transformer"])
def test_what_is_no_pipeline_is_told_from_one_with_a_u_net(part):
    pipe, _, schedule = scheduled(flux)
    with pytest.raises(BadInput, match="give a diffusers pipeline itself, not its transformer"):
        harmonica.apply(None if part == "nothing" else pipe.transformer, schedule)


def test_another_scheduler_than_at_apply_is_named_first():
    pipe, inputs, schedule = scheduled(pixart)
    with harmonica.apply(pipe, schedule):
        pipe.scheduler = diffusers.DDIMScheduler()
        with pytest.raises(BadInput, match="^scheduler: 'DDIMScheduler' .* applied with another"):
            run(pipe, inputs)


def test_a_loop_that_is_not_followed_cannot_be_searched(own_loop):
    pipe, inputs, _ = own_loop
    pipe.shows = False

    def call(pipe, seed, count):
        return run(pipe, inputs)

    with pytest.warns(UserWarning), pytest.raises(BadInput, match="opens self.progress_bar"):
        harmonica.search(pipe, call=call, images=1, batch=1, quiet=True)


def test_a_call_that_is_interrupted_before_its_last_step_cannot_be_searched():
    pipe, inputs = flux()

    def interrupts(pipe, step, timestep, tensors):
        pipe._interrupt = step == 1
        return tensors

    def call(pipe, seed, count):
        return run(pipe, inputs, callback_on_step_end=interrupts)

    with pytest.raises(BadInput, match="steps: 2 .* should run all 4; take away what interrupts"):
        harmonica.search(pipe, call=call, images=1, batch=1, quiet=True)
    assert untouched(pipe)
