"""A router for a user's pipeline: trained on what the pipeline computes, resumed to the same bits,
used on it at once.
"""

import gc
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from transformers import T5EncoderModel

import harmonica
from harmonica.__main__ import main
from harmonica.errors import BadInput
from harmonica.method.train import Work
from harmonica.pipeline.loading import CAPTIONS, load_pipeline
from harmonica.pipeline.train import router_training
from harmonica.pipeline.train_by_backbone import cost, describe, train_router
from harmonica.weights.prompts import read_captions

T = 4
every_kind = pytest.mark.parametrize("kind", ["dit", "alpha", "sigma"])


@pytest.fixture(scope="module")
def folder_of(tiny_pipe, tmp_path_factory):
    """-> a function that gives the folder of a saved tiny pipeline."""
    folders = {}

    def folder(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            tiny_pipe(kind).save_pretrained(folders[kind])
        return folders[kind]

    return folder


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


class TestCommand:
    """`python -m harmonica train`, in this process."""

    @pytest.mark.parametrize(
        "kind, options",
        [
            ("dit", ["--sampler", "ddpm"]),
            ("alpha", ["--sampler", "sa-solver"]),
            ("sigma", ["--guidance", 1]),
        ],
    )
    def test_its_router_works_on_the_pipeline(
        self, tiny_pipe, folder_of, tmp_path, capfd, kind, options
    ):
        (tmp_path / "captions.txt").write_text("a fox\n\na train\n")
        asked = [
            "train",
            "--model",
            folder_of(kind),
            "--steps",
            T,
            "--cur",
            50,
            "--out",
            tmp_path / "router",
            "--batch",
            2,
            "--trajectories",
            3,
            "--captions",
            tmp_path / "captions.txt",
            *options,
        ]
        assert main([str(a) for a in asked]) == 0
        said = capfd.readouterr().out
        assert (
            "min in all" in said
            and "9 updates" in said
            and ("1000 classes" if kind == "dit" else "2 captions") in said
        )
        assert ("use_resolution_binning=False" in said) == (kind != "dit")
        pipe = tiny_pipe(kind)
        if options[:1] == ["--sampler"]:
            (line,) = (line for line in said.splitlines() if "from_config" in line)
            exec(line.removeprefix("use").strip(), {"pipe": pipe, "diffusers": diffusers})
        what = (
            {"class_labels": [1]}
            if kind == "dit"
            else {
                "prompt": "a fox",
                "use_resolution_binning": False,
                "clean_caption": False,
                "height": 8,
                "width": 8,
            }
        )
        with harmonica.apply_router(pipe, tmp_path / "router", cur=50) as applied:
            pipe(num_inference_steps=T, **what)
        assert (~applied.keep).sum() == applied.keep.numel() // 2

    def test_a_dry_run_writes_nothing(self, folder_of, tmp_path, capfd):
        out = tmp_path / "router"
        assert (
            main(
                [
                    "train",
                    "--model",
                    str(folder_of("dit")),
                    "--steps",
                    "4",
                    "--cur",
                    "50",
                    "--out",
                    str(out),
                    "--dry-run",
                ]
            )
            == 0
        )
        assert "min in all" in capfd.readouterr().out and not out.exists()

    def test_with_arguments_of_its_call_it_is_trained_by_that(self, folder_of, tmp_path, capfd):
        out, asked = tmp_path / "router", ["--trajectories", 2, "--batch", 1, "--guidance", 2]
        more = ["max_sequence_length=16", "height=8", "width=8"]
        words = ["train", "--model", folder_of("alpha"), "--steps", 3, "--cur", 50, "--out", out]
        assert main([str(word) for word in (*words, *asked, "--set", *more, "--dry-run")]) == 0
        assert "4 updates" in capfd.readouterr().err and not out.exists()
        assert main([str(word) for word in (*words, *asked, "--set", *more)]) == 0
        said = capfd.readouterr().out
        assert (
            "with cur=50 it reuses exactly that" in said and f"apply_router(pipe, '{out}'" in said
        )
        router = harmonica.Router.from_pretrained(out)
        assert (~router.keep(50)).sum() == router.keep().numel() // 2
        assert router.about["guidance"] == 2 and len(router.about["units"]) == router.num_blocks

    def test_of_a_folder_that_holds_another_pipeline_is_refused(
        self, folder_of, refused_here, tmp_path
    ):
        shutil.copytree(folder_of("dit"), tmp_path / "other")
        index = tmp_path / "other" / "model_index.json"
        index.write_text(index.read_text().replace("DiTPipeline", "FluxPipeline"))
        words = ["train", "--model", tmp_path / "other", "--steps", 4, "--cur", 50, "--out", "out"]
        refused_here(*words, words=["is neither the folder of a diffusers pipeline"])
        own = "a FluxPipeline is trained by its own call, on its own scheduler"
        refused_here(*words, "--sampler", "ddim", words=["sampler: 'ddim'", own])

    @pytest.mark.parametrize(
        "changes, words",
        [
            ({"--model": "nowhere/nothing"}, ["model: nowhere/nothing"]),
            ({"--model": "."}, ["model: . is neither"]),
            ({"--sampler": "euler"}, ["sampler", "euler", "dpm++"]),
            ({"--steps": 1}, ["steps: 1"]),
            ({"--cur": 0}, ["cur: 0"]),
            ({"--cur": 80}, ["cur: 80", "75"]),
            ({"--captions": "none.txt"}, ["captions: none.txt"]),
            ({"--guidance": 0.5}, ["guidance: 0.5"]),
            ({"--device": "cuda:77"}, ["device: 'cuda:77'"]),
            ({"--device": "gpu"}, ["device: 'gpu'"]),
            ({"--batch": 0}, ["batch: 0"]),
            ({"--trajectories": 0}, ["trajectories: 0"]),
        ],
        ids=str,
    )
    def test_mistakes_are_one_sentence(self, refused_here, folder_of, changes, words):
        options = {
            "--model": folder_of("alpha"),
            "--steps": 4,
            "--cur": 50,
            "--out": "out",
        } | changes
        refused_here("train", *(part for option in options.items() for part in option), words=words)


class TestCaptions:
    def test_ours_are_64_different_ones_and_go_with_the_package(self):
        captions = read_captions(CAPTIONS)
        assert len(set(captions)) == 64 and all(caption.isascii() for caption in captions)
        pyproject = tomllib.loads(
            (Path(harmonica.__file__).parent.parent / "pyproject.toml").read_text()
        )
        assert (
            CAPTIONS.name in pyproject["tool"]["setuptools"]["package-data"]["harmonica.pipeline"]
        )

    def test_an_empty_file_is_refused(self, tmp_path):
        (tmp_path / "empty.txt").write_text("\n \n")
        with pytest.raises(BadInput, match="one caption on each line"):
            read_captions(tmp_path / "empty.txt")
