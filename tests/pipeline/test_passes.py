"""Passes on real pipelines with tiny weights: which step and pass a call is, and that nothing
is left behind.
"""

import gc
import inspect
import weakref

import accelerate
import diffusers
import pytest
import torch
from tiny_pipelines import (
    PIPELINES,
    built,
    call,
    flow,
    flux,
    free_units_of,
    pixart,
    run,
    sd3,
    unet_pipeline,
    untouched,
    vae,
    wan,
)
from tiny_transformers import randn, tiny
from torch.utils._pytree import tree_leaves

from harmonica.errors import BadInput
from harmonica.method.cache import compute_all
from harmonica.pipeline.passes import Passes

each_pipeline = pytest.mark.parametrize("name", PIPELINES)


def kept(loop):
    return lambda step, turn: compute_all


class Reuse:
    """Every second step computes. calls: [(step, pass, units asked, units computed)]."""

    def __init__(self):
        self.calls, self.loop, self.features = [], None, []

    def __call__(self, loop):
        self.loop, caches = loop, {}

        def answer(step, turn):
            cache, asked, computed = caches.setdefault(turn, {}), set(), set()
            self.calls.append((step, turn[:2], asked, computed))

            def at(i, compute):
                asked.add(i)
                if step % 2 == 0 or i not in cache:
                    cache[i] = compute()
                    computed.add(i)
                    self.features = [weakref.ref(tree_leaves(cache[i])[0])]
                return cache[i]

            return at

        return answer


@each_pipeline
def test_kept_is_untouched_reuse_repeats_itself_and_all_is_put_back(name):
    pipe, inputs = PIPELINES[name][0]()
    plain = run(pipe, inputs)
    with Passes(pipe, kept):
        assert torch.equal(run(pipe, inputs), plain)
    policy = Reuse()
    with Passes(pipe, policy) as walk:
        first = run(pipe, inputs)
        assert walk.loop is None and walk.answer is None and "step" not in vars(pipe.scheduler)
        assert torch.equal(run(pipe, inputs), first)
        run(pipe, inputs, seed=1)
        assert torch.equal(run(pipe, inputs), first)
    assert untouched(pipe)
    assert torch.equal(run(pipe, inputs), plain)
    assert not torch.equal(first, plain)


@each_pipeline
def test_every_pass_of_every_step_is_told_apart(name):
    make, passes = PIPELINES[name]
    pipe, inputs = make()
    policy = Reuse()
    with Passes(pipe, policy):
        run(pipe, inputs)
    steps = len(policy.loop.timesteps)
    assert policy.loop.first == 0
    assert [step for step, *_ in policy.calls] == [s for s in range(steps) for _ in range(passes)]
    seen = set()
    for step, turn, asked, computed in policy.calls:
        fresh = step % 2 == 0 or turn not in seen
        assert asked and computed == (asked if fresh else set())
        seen.add(turn)
    assert len(seen) == passes * (2 if name == "Wan 2.2" else 1)


@pytest.mark.parametrize("make", [flux, pixart, sd3, wan])
def test_gradients_through_scheduler_and_guidance(make):
    pipe, inputs = make()
    pipe.transformer.double()
    inputs = {
        key: value.double() if "embeds" in key and torch.is_tensor(value) else value
        for key, value in inputs.items()
    }
    scores = torch.full((len(run(pipe, inputs)), 4), 0.6, dtype=torch.float64)

    def begin(loop):
        caches = {}

        def answer(step, turn):
            cache = caches.setdefault(turn, {})

            def at(i, compute):
                new, old = compute(), cache.get(i)
                pair = isinstance(new, tuple)
                news, olds = (new, old) if pair else ((new,), (old,))
                if old is not None:
                    r = scores[0, step]
                    news = tuple(r * a + (1 - r) * b for a, b in zip(news, olds))
                cache[i] = news if pair else news[0]
                return cache[i]

            return at

        return answer

    def loss():
        generator = torch.Generator().manual_seed(0)
        out = inspect.unwrap(type(pipe).__call__)(
            pipe, **inputs, generator=generator, return_dict=False
        )[0]
        return out.square().mean()

    with Passes(pipe, begin):
        scores.requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss(), scores)
        scores = scores.detach()
        for step in (1, 3):
            near = []
            for shift in (1e-2, -1e-2):  # schedulers compute in float32
                scores[0, step] += shift
                with torch.no_grad():
                    near.append(loss())
                scores[0, step] -= shift
            slope = (near[0] - near[1]) / 2e-2
            assert float(gradient[0, step]) == pytest.approx(float(slope), rel=0.02)
    assert gradient[0, 1:].abs().min() > 0


def test_an_error_or_an_interrupt_in_a_callback_leaves_nothing_held():
    pipe, inputs = flux()
    plain = run(pipe, inputs)

    def fails(pipe, step, timestep, tensors):
        if step == 1:
            raise RuntimeError("in the middle")
        return tensors

    def interrupts(pipe, step, timestep, tensors):
        pipe._interrupt = step == 1
        return tensors

    policy = Reuse()
    with Passes(pipe, policy) as walk:
        with pytest.raises(RuntimeError, match="in the middle"):
            run(pipe, inputs, callback_on_step_end=fails)
        assert walk.loop is None and walk.answer is None and "step" not in vars(pipe.scheduler)
        gc.collect()
        assert policy.features[0]() is None
        policy.calls.clear()
        run(pipe, inputs, callback_on_step_end=interrupts)
        assert [step for step, *_ in policy.calls] == [0, 1]
        assert walk.loop is None
        policy.calls.clear()
        run(pipe, inputs)
        assert [step for step, *_ in policy.calls] == [0, 1, 2, 3]
    assert untouched(pipe) and torch.equal(run(pipe, inputs), plain)


def test_an_error_in_a_loop_over_the_bar_does_not_end_the_next_loop():
    """DiT's pipeline iterates over its bar: the generator of a failed call lives as long as the
    error.
    """
    pipe, inputs = PIPELINES["DiT"][0]()
    fail = {"now": True}

    def begin(loop):
        def answer(step, turn):
            if fail["now"] and step == 1:
                raise RuntimeError("in the middle")
            return compute_all

        return answer

    with Passes(pipe, begin) as walk:
        with pytest.raises(RuntimeError) as held:
            run(pipe, inputs)
        fail["now"] = False
        loops = []

        def drops(step, turn):
            if step == 1:
                held.__dict__.clear()
                gc.collect()
            loops.append(walk.loop)
            return compute_all

        walk.begin = lambda loop: drops
        run(pipe, inputs)
    assert len(loops) == 4 and None not in loops


def test_image_to_image_starts_where_its_strength_says():
    pipe, inputs = sd3("StableDiffusion3Img2ImgPipeline", strength=0.5)
    inputs |= {"image": torch.rand(1, 3, 8, 8), "num_inference_steps": 6}
    policy = Reuse()
    with Passes(pipe, policy):
        run(pipe, inputs)
    assert policy.loop.first == 3 and len(policy.loop.timesteps) == 6
    assert [step for step, *_ in policy.calls] == [3, 4, 5]
    assert policy.calls[0][2] == policy.calls[0][3]  # all computed: nothing to reuse


@pytest.mark.parametrize("name", ["FluxImg2ImgPipeline", "FluxInpaintPipeline"])
def test_flux_from_an_image(name):
    pipe = built(name, "FluxTransformer2DModel", flow(), vae=vae(1))
    inputs = call(size=8, strength=0.5, guidance_scale=1.0, pooled_prompt_embeds=randn(1, 8))
    inputs |= {"image": torch.rand(1, 3, 8, 8)}
    if "Inpaint" in name:
        inputs |= {"mask_image": torch.ones(1, 1, 8, 8)}
    plain, policy = run(pipe, inputs), Reuse()
    with Passes(pipe, kept):
        assert torch.equal(run(pipe, inputs), plain)
    with Passes(pipe, policy):
        run(pipe, inputs)
    assert [step for step, *_ in policy.calls] == [2, 3]


def test_passes_that_only_some_steps_have():
    """Guidance cut off after half the steps, and a third pass without some layers in the middle."""
    pipe, inputs = PIPELINES["Lumina2"][0]()
    policy = Reuse()
    with Passes(pipe, policy):
        run(pipe, inputs, cfg_trunc_ratio=0.5)
    assert [call[:2] for call in policy.calls] == [
        (step, ("transformer", place))
        for step, place in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 0))
    ]
    pipe, inputs = sd3(skip_guidance_layers=[1], skip_layer_guidance_start=0.0)
    inputs |= {"skip_layer_guidance_stop": 0.7}
    plain, policy = run(pipe, inputs), Reuse()
    with Passes(pipe, kept):
        assert torch.equal(run(pipe, inputs), plain)
    with Passes(pipe, policy):
        run(pipe, inputs)
    skipping = [len(asked) for _, (_, place), asked, _ in policy.calls if place == 1]
    assert skipping == [6, 6]  # of 9 units


def test_other_batches_sizes_and_schedulers_between_calls():
    pipe, inputs = flux()
    policy = Reuse()
    with Passes(pipe, policy):
        for more in ({"num_images_per_prompt": 2}, {"height": 96}, {"num_inference_steps": 6}):
            policy.calls.clear()
            run(pipe, inputs, **more)
            steps = more.get("num_inference_steps", 4)
            assert [len(computed) for *_, computed in policy.calls] == [8, 0] * (steps // 2)
    pipe, inputs = sd3()
    policy = Reuse()
    with Passes(pipe, policy):
        pipe.scheduler = diffusers.FlowMatchHeunDiscreteScheduler()
        run(pipe, inputs, num_inference_steps=3)
        assert [step for step, *_ in policy.calls] == [
            0,
            1,
            2,
            3,
            4,
        ]  # two calls a step but the last


def test_offloaded_pipelines():
    pipe, inputs = flux()
    plain = run(pipe, inputs)
    with Passes(pipe, kept):
        _, hook = accelerate.cpu_offload_with_hook(pipe.transformer, torch.device("cpu"))
        assert torch.equal(run(pipe, inputs), plain)
    hook.remove()
    assert torch.equal(run(pipe, inputs), plain)
    accelerate.cpu_offload(pipe.transformer, torch.device("cpu"))
    with Passes(pipe, kept):
        assert torch.equal(run(pipe, inputs), plain)


def test_free_units_of_a_pipeline():
    pipe, inputs = PIPELINES["Qwen-Image"][0]()
    assert free_units_of(pipe, inputs) == {5}  # the last block's txt_mlp
    assert untouched(pipe)


class Unstepped(diffusers.DiffusionPipeline):
    """A pipeline that does not use its scheduler's step."""

    def __init__(self, transformer, scheduler):
        super().__init__()
        self.register_modules(transformer=transformer, scheduler=scheduler)

    def __call__(self, inputs):
        with self.progress_bar(total=3):
            for _ in range(3):
                self.transformer(**inputs)


def test_refusals():
    pipe, inputs = flux()
    with Passes(pipe, kept):
        with pytest.raises(BadInput, match="applied to it already"):
            Passes(pipe, kept)
        own = pipe.transformer
        pipe.transformer, _ = tiny("FluxTransformer2DModel")
        with pytest.raises(BadInput, match="applied to another"):
            run(pipe, inputs)
        pipe.transformer = own
        own.single_transformer_blocks[0].proj_out = torch.nn.Sequential(
            own.single_transformer_blocks[0].proj_out
        )
        with pytest.raises(BadInput, match="was exchanged"):
            run(pipe, inputs)
    with pytest.raises(BadInput, match="DDPMPipeline.*not a U-Net"):
        Passes(unet_pipeline(), kept)
    model, inputs = tiny("FluxTransformer2DModel")
    pipe = Unstepped(model, flow())
    with Passes(pipe, kept), pytest.raises(BadInput, match="cannot be told apart"):
        pipe(inputs)
    pipe.transformer.transformer_blocks[0].compile()
    with pytest.raises(BadInput, match="is compiled"):
        Passes(pipe, kept)
    assert "progress_bar" not in vars(pipe)
