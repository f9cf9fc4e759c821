"""Sampling by a local checkout of the paper's released code (reference), against a plan with the
same weights and the same mask.
"""

import importlib
import io
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch

from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import to_official
from harmonica.bench import cases, timing
from harmonica.errors import BadInput, check
from harmonica.fast.plan import compile_schedule, follow
from harmonica.method import masks
from harmonica.method.router import from_keep
from harmonica.method.schedule import Schedule
from harmonica.weights import published_routers

BATCHES, TAU = (1, 16), 0.1


def of(path):
    """-> the table for a checkout at `path`. BadInput where it is not one, or cannot be
    imported.
    """
    for file in ("models/dynamic_models.py", "diffusion/__init__.py"):
        check(
            (path / file).is_file(),
            "peer",
            str(path),
            f"a checkout of the released code holds {file}",
        )
    sys.path.insert(0, str(path))
    try:
        models = importlib.import_module("models.dynamic_models")
        diffusion = importlib.import_module("diffusion")
    except ImportError as error:
        raise BadInput(
            f"peer: {path} cannot be imported ({error}); install what its README names (timm)"
        ) from None
    return SimpleNamespace(__doc__=__doc__, rows=lambda bench: rows(bench, models, diffusion))


def rows(bench, models, diffusion):
    for case in [bench.digits, cases.dit_s2()] if not bench.cuda else [cases.dit_xl2()]:
        case = replace(case, backbone=DiT(case.backbone.model))  # in the official numerics
        fora = Schedule(keep=masks.fora(case.num_steps, case.backbone.num_blocks))
        for batch in BATCHES:
            theirs, images = _theirs(case, batch, fora.keep, models, diffusion)
            for backend in bench.backends:
                denoiser, x = case.denoiser(batch), case.noise(batch)
                forward = follow(denoiser, compile_schedule(denoiser.backbone, fora, backend))

                def sample():
                    return denoiser.images(denoiser.walk(denoiser.begin(x), forward))

                with torch.no_grad():
                    error = float((sample() - images).abs().max() / images.abs().max())
                ours = {backend: timing.waiting(sample)}
                row = timing.compare(theirs, ours, case.repeats)[backend]
                yield (
                    {
                        "model": case.name,
                        "T": case.num_steps,
                        "batch": batch,
                        "backend": backend,
                        "schedule": "FORA 2",
                        **row,
                        "largest_difference": error,
                    },
                    None,
                )


def _theirs(case, batch, keep, models, diffusion):
    """-> a function that samples one batch with the released code, and its images."""
    ours = case.backbone
    parameter = next(ours.parameters())
    learned_sigma = ours.out_channels == 2 * ours.in_channels
    model = models.DiT(
        input_size=ours.sample_size,
        patch_size=ours.model.patch_size,
        in_channels=ours.in_channels,
        hidden_size=ours.model.inner_dim,
        depth=ours.num_blocks // 2,
        num_heads=ours.model.config.num_attention_heads,
        num_classes=ours.num_classes,
        learn_sigma=learned_sigma,
    )
    model.load_state_dict(to_official(ours.model))
    model = model.to(parameter.device, parameter.dtype).eval()
    walk = diffusion.create_diffusion(str(case.num_steps), learn_sigma=learned_sigma)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        path = Path(folder) / "router.pt"
        published_routers.write(path, from_keep(keep, tau=TAU))
        model.load_ranking(str(path), case.num_steps, walk.timestep_map, TAU)
    x, labels = case.noise(batch), case.cond(batch)
    options = {}
    if case.guidance != 1:
        x, labels = x.repeat(2, 1, 1, 1), ours.with_null(labels)
        options = {"cfg_scale": case.guidance}

    def sample():
        model.reset()
        function = model.forward_with_cfg if options else model
        return walk.ddim_sample_loop(
            function,
            x.shape,
            x,
            clip_denoised=False,
            progress=False,
            device=parameter.device,
            model_kwargs={"y": labels, **options},
        )[:batch]

    with torch.no_grad():
        images = sample()
    return timing.waiting(sample), images
