"""A router of a DiT or PixArt pipeline: trained on what it computes, resumed to the same bits,
never with its text encoder or VAE in memory.
"""

import gc
import shutil
from dataclasses import replace

import pytest
import torch
from transformers import T5EncoderModel

from harmonica.errors import BadInput
from harmonica.method.train import Work
from harmonica.pipeline.loading import CAPTIONS, load_pipeline
from harmonica.pipeline.train import router_training
from harmonica.pipeline.train_by_backbone import cost, describe, train_router
from harmonica.weights.prompts import read_captions

T = 4
every_kind = pytest.mark.parametrize("kind", ["dit", "alpha", "sigma"])


@pytest.fixture
def prepared(folder_of, kind):
    """-> a models.Loaded of a tiny pipeline, and the PipelineRouter to train."""
    training = router_training(T, 50, trajectories=3, batch=2, seed=0)
    loaded, pipe = load_pipeline(folder_of(kind), None, CAPTIONS, "cpu")
    return loaded, describe(
        folder_of(kind), loaded, pipe, CAPTIONS, num_steps=T, guidance=None, training=training
    )


@pytest.mark.parametrize(
    "kind, guidance",
    [("dit", 1.0), ("dit", 4.0), ("alpha-1024", 4.0), ("sigma", 1.0), ("sigma", 4.0)],
)
def test_training_walks_as_the_pipeline_does(tiny_pipe, folder_of, kind, guidance):
    """Everything computed, from the same noise and prompts: the pipeline's images."""
    pipe, (loaded, _) = tiny_pipe(kind), load_pipeline(folder_of(kind), None, CAPTIONS, "cpu")
    steps, images = (2, 1) if kind == "alpha-1024" else (T, 2)  # of 4096 tokens
    training = router_training(steps, 50, 3, images, 0)
    router = describe(
        "tiny", loaded, pipe, CAPTIONS, num_steps=steps, guidance=guidance, training=training
    )
    x = torch.randn(images, *loaded.shape, generator=torch.Generator().manual_seed(0))
    options = {
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "generator": torch.Generator().manual_seed(0),
    }
    chosen = range(3, 3 + images)
    with torch.no_grad():
        denoiser = Work(loaded, router).denoiser(loaded.cond(chosen), guidance)
        latents = denoiser.images(denoiser.walk(denoiser.begin(x), denoiser.computed))
        if kind == "dit":
            images = pipe(list(chosen), output_type="pt", **options).images
            latents = (
                pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample / 2 + 0.5
            ).clamp(0, 1)
        else:
            images = pipe(
                read_captions(CAPTIONS)[3 : 3 + images],
                latents=x,
                output_type="latent",
                clean_caption=False,
                use_resolution_binning=False,
                **options,
            ).images
    assert (latents - images).abs().max() < 1e-4 * images.abs().max()


@every_kind
def test_a_killed_training_ends_in_the_same_bits_and_a_finished_one_is_not_repeated(
    prepared, killed_after, tmp_path, kind
):
    straight = train_router(*prepared, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train_router(*prepared, tmp_path / "killed", killed_after(2))
    assert not (tmp_path / "killed" / "router.safetensors").exists()
    resumed = train_router(*prepared, tmp_path / "killed")
    assert torch.equal(straight.logits, resumed.logits)
    again = train_router(*prepared, tmp_path / "killed", killed_after(0))
    assert (
        torch.equal(again.logits, resumed.logits)
        and not (tmp_path / "killed" / "state.safetensors").exists()
    )


@pytest.mark.parametrize("kind", ["sigma"])
def test_another_configuration_in_the_same_folder_is_refused(
    prepared, folder_of, killed_after, tmp_path, kind
):
    loaded, router = prepared
    with pytest.raises(KeyboardInterrupt):
        train_router(loaded, router, tmp_path, killed_after(2))
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    loaded, pipe = load_pipeline(folder_of(kind), "ddim", CAPTIONS, "cpu")
    other = describe(
        folder_of(kind), loaded, pipe, CAPTIONS, num_steps=T, guidance=2.0, training=router.training
    )
    with pytest.raises(
        BadInput, match="another sampler, scheduler, guidance; choose another folder"
    ):
        train_router(loaded, other, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before


@pytest.mark.parametrize("kind", ["dit"])
def test_the_model_may_have_moved(prepared, killed_after, tmp_path, kind):
    loaded, router = prepared
    with pytest.raises(KeyboardInterrupt):
        train_router(loaded, router, tmp_path, killed_after(1))
    assert train_router(loaded, replace(router, model="elsewhere"), tmp_path).num_steps == T


@every_kind
def test_the_cost_that_is_told_beforehand_is_what_training_does(prepared, tmp_path, kind):
    loaded, router = prepared
    told, steps = cost(loaded, router), []
    loaded.backbone.model.pos_embed.register_forward_hook(lambda *_: steps.append(1))
    train_router(loaded, router, tmp_path)
    assert told["updates"] == 3 * (T - 1)
    assert len(steps) == told["updates"] + told["lambda_forwards"] + router.training.trajectories
    assert told["seconds"] > 0 and told["peak_bytes"] > 2**20


@pytest.mark.parametrize("kind", ["sigma"])
def test_neither_text_encoder_nor_vae_is_in_memory_during_training(folder_of, kind):
    loaded, pipe = load_pipeline(folder_of(kind), None, CAPTIONS, "cpu")
    gc.collect()
    encoders = [one for one in gc.get_objects() if isinstance(one, T5EncoderModel)]
    assert (
        pipe.text_encoder is None and pipe.vae is None and encoders == [] and loaded.num_conds == 64
    )


def test_the_class_names_of_older_folders_are_understood(folder_of, tmp_path):
    """The published pipelines name their transformer as diffusers did then."""
    shutil.copytree(folder_of("sigma"), tmp_path / "older")
    for name in ("model_index.json", "transformer/config.json"):
        file, now = tmp_path / "older" / name, "PixArtTransformer2DModel"
        assert now in file.read_text()
        file.write_text(file.read_text().replace(now, "Transformer2DModel"))
    loaded, _ = load_pipeline(tmp_path / "older", None, CAPTIONS, "cpu")
    assert loaded.backbone.num_blocks == 6
