"""What the tests share: tiny random models, specs at smoke scale, and the command line as a user
meets it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side
os.environ.pop("HARMONICA_MODELS", None)  # the shipped base models, whatever the user has trained
ROOT = Path(__file__).resolve().parent.parent
# a shell starts what it puts into the background with Ctrl-C ignored, and so would be the programs
# that the tests start and interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item):
    """Random weights do not depend on which tests this process ran before."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_dit():
    """-> a function that builds a random, frozen DiT backbone: 2 layers, width 32, 4 latent
    channels, learned sigma.
    """
    import torch
    from diffusers import DiTTransformer2DModel

    from harmonica.backbones.dit import DiT
    from harmonica.backbones.dit_official import build

    def make(*, seed=0, dtype=torch.float64, numerics="official", tied=True, **shape):
        shape = {
            "width": 32,
            "depth": 2,
            "heads": 4,
            "patch": 2,
            "sample_size": 8,
            "channels": 4,
            "out_channels": 8,
            "num_classes": 10,
        } | shape
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            if tied:
                model = build(**shape)
            else:  # as diffusers makes it: every block an embedder of its own
                model = DiTTransformer2DModel(
                    num_attention_heads=shape["heads"],
                    attention_head_dim=shape["width"] // shape["heads"],
                    in_channels=shape["channels"],
                    out_channels=shape["out_channels"],
                    num_layers=shape["depth"],
                    sample_size=shape["sample_size"],
                    patch_size=shape["patch"],
                    num_embeds_ada_norm=shape["num_classes"],
                ).eval()
        torch.nn.Module.to(model, dtype)  # diffusers' own .to() warns
        return DiT(model.requires_grad_(False), numerics)

    return make


@pytest.fixture(scope="session")
def tiny_pixart():
    """-> a function that builds a random, frozen PixArt backbone: 2 layers, width 48, 4 latent
    channels, learned sigma.

    sizes: with alpha's size conditions, else as Sigma.
    """
    import torch
    from diffusers import PixArtTransformer2DModel

    from harmonica.backbones.pixart import PixArt

    def make(*, seed=0, dtype=torch.float64, sizes=False, depth=2, **shape):
        shape = {
            "sample_size": 8,
            "in_channels": 4,
            "out_channels": 8,
            "caption_channels": 12,
        } | shape
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            model = PixArtTransformer2DModel(
                num_attention_heads=4,
                attention_head_dim=12,
                num_layers=depth,
                cross_attention_dim=48,
                use_additional_conditions=sizes,
                **shape,
            ).eval()
        torch.nn.Module.to(model, dtype)  # diffusers' own .to() warns
        return PixArt(model.requires_grad_(False))

    return make


@pytest.fixture(scope="session")
def tiny_prompts():
    """-> a function that gives a TextCond for a tiny PixArt: texts of different lengths, some null
    prompt, some sizes.
    """
    import torch

    from harmonica.backbones.pixart import TextCond

    def make(batch=3, tokens=7, channels=12, dtype=torch.float64, sizes=False, seed=3):
        generator = torch.Generator().manual_seed(seed)
        embeds, null = (
            torch.randn(n, tokens, channels, generator=generator, dtype=torch.float64)
            for n in (batch, 1)
        )
        lengths = torch.arange(batch) * 2 % tokens + 1
        size = {
            "resolution": torch.tensor([[64.0, 96.0]] * batch),
            "aspect_ratio": torch.full((batch, 1), 64 / 96),
        }
        return TextCond(
            embeds.to(dtype),
            (torch.arange(tokens) < lengths[:, None]).long(),
            **(size if sizes else {}),
            null_embeds=null.to(dtype),
            null_mask=(torch.arange(tokens) < 1).long()[None],
        )

    return make


@pytest.fixture(scope="session")
def tiny_walk(tiny_dit):
    """-> a function that gives a Denoiser over a tiny DiT and the noise to start from."""
    import torch

    from harmonica.method.denoise import Denoiser
    from harmonica.samplers import DDIM

    def make(num_steps=5, batch=2, scale=1.5, dtype=torch.float64, **model):
        backbone = tiny_dit(dtype=dtype, **model)
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(batch, backbone.in_channels, 8, 8, generator=generator, dtype=dtype)
        labels = torch.arange(batch) % backbone.num_classes
        return Denoiser(backbone, DDIM(), DDIM().timesteps(num_steps), labels, scale=scale), x

    return make


@pytest.fixture(scope="session")
def tiny_scores():
    """-> a function that gives router scores (T, N) on both sides of tau = 0.1; the first row
    computes everything.
    """
    import torch

    def make(num_steps=5, num_blocks=4, seed=0, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        scores = torch.sigmoid(
            3 * torch.randn(num_steps, num_blocks, generator=generator, dtype=dtype) - 2
        )
        scores[0] = 1
        return scores

    return make


@pytest.fixture(scope="session")
def tiny_pipe():
    """-> a function that builds a small random pipeline of diffusers' own classes: "dit", "alpha",
    "alpha-sizes" and "alpha-1024" (which have size conditions), "sigma", and "sigma-256", which
    goes by default sizes: its latents are an eighth of the image.
    """
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        DiTPipeline,
        DiTTransformer2DModel,
        DPMSolverMultistepScheduler,
        PixArtAlphaPipeline,
        PixArtSigmaPipeline,
        PixArtTransformer2DModel,
    )
    from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

    def dit():
        transformer = DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            sample_size=8,
            num_embeds_ada_norm=1000,
        )
        return DiTPipeline(transformer.eval(), vae(), DDIMScheduler(clip_sample=False))

    def vae(levels=1):
        return AutoencoderKL(
            block_out_channels=(8,) * levels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            norm_num_groups=4,
            latent_channels=4,
        ).eval()

    def pixart(pipeline, sample_size, levels=1, sizes=False):
        transformer = PixArtTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=24,
            num_layers=2,
            cross_attention_dim=48,
            sample_size=sample_size,
            caption_channels=16,
            interpolation_scale=1,
            use_additional_conditions=sizes,
        )
        encoder = T5EncoderModel(
            T5Config(vocab_size=384, d_model=16, d_kv=8, num_heads=2, d_ff=32, num_layers=1)
        )
        return pipeline(
            ByT5Tokenizer(),
            encoder.eval(),
            vae(levels),
            transformer.eval(),
            DPMSolverMultistepScheduler(),
        )

    alpha, sigma = PixArtAlphaPipeline, PixArtSigmaPipeline
    kinds = {
        "dit": dit,
        "alpha": lambda: pixart(alpha, 8),
        "alpha-sizes": lambda: pixart(alpha, 8, sizes=True),
        "alpha-1024": lambda: pixart(
            alpha, 128, sizes=True
        ),  # at 128, and there alone, the pipeline gives them
        "sigma": lambda: pixart(sigma, 8),
        "sigma-256": lambda: pixart(sigma, 32, levels=4),
    }

    def make(kind, *, seed=0, dtype=torch.float32):
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            pipe = kinds[kind]()
        pipe.set_progress_bar_config(disable=True)
        for component in pipe.components.values():
            if isinstance(component, torch.nn.Module):
                torch.nn.Module.to(component, dtype)  # diffusers' own .to() warns
        return pipe

    return make


@pytest.fixture(scope="session")
def tiny_model(tiny_dit):
    """A models.Loaded over a tiny float32 DiT, with random training images."""
    import torch

    return tiny_loaded(tiny_dit, torch.float32)


@pytest.fixture(scope="session")
def tiny_model_float64(tiny_dit):
    import torch

    return tiny_loaded(tiny_dit, torch.float64)


def tiny_loaded(tiny_dit, dtype):
    import torch

    from harmonica.digits.models import classes
    from harmonica.method.denoise import Loaded

    backbone = tiny_dit(dtype=dtype, channels=1, out_channels=1)
    images = (
        torch.randn(30, 1, 8, 8, generator=torch.Generator().manual_seed(2)).clamp(-1, 1).to(dtype)
    )
    return Loaded(backbone, classes, 10, (images, torch.arange(30) % 10))


@pytest.fixture(scope="session")
def smoke_model():
    from harmonica.digits.manifest import manifest
    from harmonica.lab.makings import ModelSpec

    return ModelSpec(name="smoke-s0", sha256=manifest()["smoke-s0"]["sha256"], scale="smoke")


@pytest.fixture(scope="session")
def folder_of(tiny_pipe, tmp_path_factory):
    """-> a function that gives the folder of a saved tiny pipeline; write nothing into it."""
    folders = {}

    def folder(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            tiny_pipe(kind).save_pretrained(folders[kind])
        return folders[kind]

    return folder


@pytest.fixture(scope="session")
def killed_after():
    """-> a function that gives a progress which lets `count` trajectories happen and ends as a kill
    does.
    """

    def make(count):
        def progress(trajectories):
            for done, trajectory in enumerate(trajectories):
                if done == count:
                    raise KeyboardInterrupt
                yield trajectory

        return progress

    return make


@pytest.fixture
def workplace(tmp_path):
    """A folder to run the command line in: the experiments, and results of its own."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    return tmp_path


@pytest.fixture
def cli(workplace):
    """-> a function that runs `python -m harmonica ARGUMENTS` in the workplace as a process of its
    own.
    """

    def run(*arguments, module="harmonica", **options):
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=workplace,
            text=True,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=300,
            **options,
        )

    return run


@pytest.fixture
def refused(cli):
    """-> a function that checks how a mistake is met: exit 2, one sentence on stderr holding
    `words`, no traceback.
    """

    def check(*arguments, words=(), **options):
        done = cli(*arguments, **options)
        assert_refused(done.returncode, done.stderr, words)
        return done

    return check


@pytest.fixture
def main():
    """The command line in this process: arguments -> exit code."""
    from harmonica.__main__ import main

    return main


@pytest.fixture
def refused_here(workplace, main, monkeypatch, capfd):
    """The same in this process: torch need not be imported anew for every case."""

    def check(*arguments, words=()):
        monkeypatch.chdir(workplace)
        capfd.readouterr()  # what making the arguments (a pipeline's folder, say) printed
        code = main([str(a) for a in arguments])
        assert_refused(code, capfd.readouterr().err, words)

    return check


def assert_refused(code, stderr, words):
    assert code == 2, stderr
    (line,) = stderr.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words), line


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory):
    """A state dict of torch-fidelity's InceptionV3 with random weights, no download -> its path."""
    from unittest import mock

    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from harmonica.weights.catalogue import INCEPTION

    path = tmp_path_factory.mktemp("weights") / INCEPTION
    torch.save({}, path)
    with (
        torch.random.fork_rng(devices=()),
        mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        torch.manual_seed(0)
        model = FeatureExtractorInceptionV3("random", ["2048"], feature_extractor_weights_path=path)
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        torch.nn.init.normal_(model.fc.bias)
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def random_inception(random_weights):
    from harmonica import weights
    from harmonica.weights import extractors

    return extractors.inception(random_weights, weights.sha256(random_weights))


@pytest.fixture(scope="session")
def few_features():
    """A quick network: uint8 images (B, 3, H, W) -> 6 pooled, 2 x 2 x 2 spatial
    features, 5 logits.
    """
    import torch

    class FewFeatures(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.sha256 = "few"
            self.conv, self.fc = (
                torch.nn.Conv2d(3, 6, 5, stride=2),
                torch.nn.Linear(6, 5, bias=False),
            )

        def forward(self, images):
            maps = self.conv(images.float() / 64 - 2).relu()
            pool = maps.mean((2, 3))
            spatial = (
                torch.nn.functional.adaptive_avg_pool2d(maps[:, :2], 2)
                .permute(0, 2, 3, 1)
                .flatten(1)
            )
            return {"pool": pool, "spatial": spatial, "logits": 4 * self.fc(pool)}

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return FewFeatures().requires_grad_(False)


@pytest.fixture(scope="session")
def images():
    """-> a function that gives random images (n, 3, side, side) uint8; those of even and odd seeds
    overlap in part.
    """
    import numpy as np

    def make(count, seed=0, side=16):
        rng = np.random.default_rng(seed)
        colours = rng.integers(150, size=(count, 3, 1, 1)) + 100 * (seed % 2)
        return np.clip(colours + 40 * rng.standard_normal((count, 3, side, side)), 0, 255).astype(
            np.uint8
        )

    return make


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """A real CLIPModel with its processor, as small as can be, saved as a folder -> its path."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    path, characters = (
        tmp_path_factory.mktemp("clip") / "tiny-clip",
        [chr(c) for c in range(33, 127)],
    )
    names = characters + [c + "</w>" for c in characters] + ["<|startoftext|>", "<|endoftext|>"]
    shape = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {
        **shape,
        "vocab_size": len(names),
        "bos_token_id": len(names) - 2,
        "eos_token_id": len(names) - 1,
    }
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        CLIPModel(
            CLIPConfig(
                text_config=text,
                vision_config={**shape, "image_size": 32, "patch_size": 16},
                projection_dim=8,
            )
        ).save_pretrained(path)
    tokenizer = CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[])
    CLIPProcessor(
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32), tokenizer
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def all_made(few_features, tmp_path_factory):
    """-> a function of rows -> a Store where all their runs are made: routers trained, images
    sampled, decoded, and evaluated with few features.
    """
    from harmonica.lab import evaluation
    from harmonica.lab.ids import with_needs
    from harmonica.lab.make import make
    from harmonica.lab.store import Store

    def of(rows):
        store = Store(tmp_path_factory.mktemp("local"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluation, "_inception", lambda spec: few_features)
            for artefact in with_needs([run for row in rows for run in row.runs]):
                make(artefact, store)
        return store

    return of


@pytest.fixture(scope="session")
def tiny_vae(tmp_path_factory):
    """A real AutoencoderKL, as small as can be, saved as a diffusers folder: 8 pixels a latent, 4
    channels -> its path.
    """
    import torch
    from diffusers import AutoencoderKL

    path = tmp_path_factory.mktemp("vae") / "tiny-vae"
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        AutoencoderKL(
            block_out_channels=(8,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            norm_num_groups=4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            layers_per_block=1,
        ).save_pretrained(path)
    return path
