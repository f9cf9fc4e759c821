"""What a search prints that it will need is what it allocates: the bytes of all tensors that are
alive at once are counted, which is the same at every run.
"""

import diffusers
import pytest
import torch
from tiny_pipelines import built, flow, randn, vae

from harmonica.lab.memory import Live
from harmonica.method.schedule import Schedule
from harmonica.pipeline.calls import OwnCall
from harmonica.pipeline.search import PipelineSearch
from harmonica.pipeline.walk import walking
from harmonica.search.probe import probe

T, WIDTH, HEADS, LAYERS = 4, 128, 4, 3


def dit(steps=T):
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=HEADS,
        attention_head_dim=WIDTH // HEADS,
        in_channels=4,
        out_channels=8,
        num_layers=LAYERS,
        sample_size=16,
        num_embeds_ada_norm=1000,
    )
    pipe = diffusers.DiTPipeline(
        transformer.eval(), vae(), diffusers.DDIMScheduler(clip_sample=False)
    )

    def call(pipe, seed, count):
        x = randn(2 * count, 4, 16, 16)
        labels = torch.arange(2 * count)
        pipe.scheduler.set_timesteps(steps)
        for t in pipe.progress_bar(pipe.scheduler.timesteps):
            out = pipe.transformer(x, timestep=t.expand(2 * count), class_labels=labels).sample
            x = pipe.scheduler.step(out[:, :4], t, x).prev_sample
        return x[:count]

    return pipe, call


def sd3():
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32,
        num_layers=LAYERS,
        attention_head_dim=WIDTH // HEADS,
        num_attention_heads=HEADS,
        in_channels=4,
        out_channels=4,
        joint_attention_dim=64,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=16,
        pos_embed_max_size=32,
    )
    pipe = built("StableDiffusion3Pipeline", transformer.eval(), flow(shift=3.0), vae=vae())

    def call(pipe, seed, count):
        return pipe(
            prompt_embeds=randn(count, 12, 64),
            negative_prompt_embeds=randn(count, 12, 64),
            pooled_prompt_embeds=randn(count, 16),
            negative_pooled_prompt_embeds=randn(count, 16),
            height=16,
            width=16,
            num_inference_steps=T,
            guidance_scale=3.0,
            generator=[torch.Generator().manual_seed(seed + k) for k in range(count)],
            output_type="latent",
            return_dict=False,
        )[0]

    return pipe, call


def linearised(pipe, call, batch, offload=False):
    """-> bytes that one linearisation of FORA's schedule allocates at most, weights aside, and the
    Memory that was estimated.
    """
    with walking(pipe, OwnCall(pipe, call, 3.0), offload) as (walk, of_call):
        settings = {"predict": True, "seed": 0, "rounds": 0}
        memory = PipelineSearch(walk, of_call, {50: ""}, batch, batch, **settings).memory
        keep = torch.ones(walk.num_steps, walk.num_blocks, dtype=torch.bool)
        keep[1::2] = False
        weights = [*pipe.transformer.parameters(), *pipe.transformer.buffers()]
        with Live() as live:
            live.known.update(weight.untyped_storage() for weight in weights)
            probe(walk, Schedule(keep=keep), 0, range(batch), directions=1, window=8, paired=True)
    return live.peak, memory


@pytest.mark.parametrize("offload", [False, True], ids=["together", "offload"])
@pytest.mark.parametrize("make", [dit, sd3])
def test_the_estimate_is_what_a_linearisation_allocates(make, offload):
    """To a tenth less and a half more; weights aside, which are there before. The more is what one
    block needs for a moment, so it is largest for models of few blocks, as these are. On a CPU what
    is offloaded is in the same memory.
    """
    batch = 1 if offload else 3
    peak, memory = linearised(*make(), batch, offload)
    expected = memory.on_device(batch) - memory.weights
    expected += batch * memory.features if offload else 0
    assert 0.9 * expected < peak < 1.5 * expected, (expected, peak)


def test_beside_the_features_it_does_not_grow_with_the_number_of_steps():
    beside = {}
    for steps in (4, 16):
        peak, memory = linearised(*dit(steps), batch=2)
        beside[steps] = peak - 2 * memory.features
    assert 0 < beside[16] < 1.25 * beside[4], beside
