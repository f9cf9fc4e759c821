"""Loads a user's DiT or PixArt pipeline to train on: transformer, scheduler, captions or classes.

Captions are embedded once, and the text encoder is freed before the transformer is loaded. No VAE
is needed.
"""

import sys
import warnings
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    SASolverScheduler,
)
from diffusers.utils import logging
from transformers.utils import logging as transformers_logging

from harmonica import samplers
from harmonica.backbones.pixart import TextCond
from harmonica.errors import BadInput, check
from harmonica.files import first_line
from harmonica.method.denoise import Loaded
from harmonica.method.schedule import HUB_ID
from harmonica.pipeline.transformers import backbone_of
from harmonica.weights.prompts import read_captions

CAPTIONS = Path(__file__).with_name("captions.txt")  # of our own writing
PIPELINES = ("DiTPipeline", "PixArtAlphaPipeline", "PixArtSigmaPipeline")
# scheduler classes, with the options to change in the config of a pipeline's own scheduler
SCHEDULERS = {
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "ddpm": (DDPMScheduler, {"clip_sample": False, "variance_type": "fixed_small"}),
    "dpm++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
    "sa-solver": (SASolverScheduler, {"algorithm_type": "data_prediction"}),
}


def load_pipeline(source, sampler, captions, device):
    """-> the method.denoise.Loaded of a pipeline folder or hub id; the pipeline itself, without its
    VAE and text encoder.

    sampler: a name in SCHEDULERS, or None for the pipeline's own scheduler. captions: a text file
    with one caption on each line; a pipeline that takes no captions goes through its classes.
    BadInput where there is no such pipeline.
    """
    check(
        sampler is None or sampler in SCHEDULERS,
        "sampler",
        sampler,
        f"choose one of {', '.join(SCHEDULERS)}",
    )
    index = _index(source)
    text = "text_encoder" in index
    embeddings = embed(source, read_captions(captions), device) if text else None
    pipe = from_pretrained(
        DiffusionPipeline.from_pretrained,
        source,
        dtype=torch.float32,
        **{name: None for name in ("vae", "text_encoder", "tokenizer") if name in index},
    )
    pipe.transformer.requires_grad_(False).to(device)
    if sampler is not None:
        scheduler, options = SCHEDULERS[sampler]
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **options)
    backbone = backbone_of(pipe)
    sampler = samplers.Scheduled(pipe.scheduler)
    if text:
        cond, count = _captions(source, pipe.transformer, embeddings, device)
    else:
        count = backbone.num_classes

        def cond(indices):
            return torch.as_tensor(indices, device=device) % count

    return Loaded(backbone, cond, count, device=device, sampler=sampler), pipe


@torch.no_grad()
def embed(source, prompts, device, batch=16):
    """-> embeddings (n, L, C) float32 and masks (n, L) of prompts; the last is the empty one."""
    encode = encoder(source, device)
    prompts = [*prompts, ""]
    parts = [encode(prompts[i : i + batch]) for i in range(0, len(prompts), batch)]
    embeds, masks = map(torch.cat, zip(*parts))
    return embeds.float(), masks


def encoder(source, device):
    """-> a function that embeds prompts as the pipeline does: (n, L, C), and masks (n, L)."""
    index = _index(source)
    right = f"a {index['_class_name']} embeds no captions"
    check("text_encoder" in index, "model", str(source), right)
    pipe = from_pretrained(
        DiffusionPipeline.from_pretrained,
        source,
        transformer=None,
        vae=None,
        dtype=torch.float32 if device == "cpu" else torch.bfloat16,
    )
    pipe.text_encoder.to(device)
    return lambda prompts: pipe.encode_prompt(
        prompts, do_classifier_free_guidance=False, device=device
    )[:2]


def _captions(source, transformer, embeddings, device):
    """-> for a PixArt pipeline the function cond(indices) -> TextCond, which goes through the
    captions in turn at the image size the transformer was trained for; the number of captions.
    """
    embeds, masks = embeddings
    side = None  # of an image, in pixels
    if transformer.use_additional_conditions:
        vae = from_pretrained(AutoencoderKL.load_config, source, subfolder="vae")
        side = float(transformer.config.sample_size * 2 ** (len(vae["block_out_channels"]) - 1))

    def cond(indices):
        chosen = torch.as_tensor(indices) % (len(embeds) - 1)
        sizes = (None, None)
        if side:
            resolution = torch.full((len(chosen), 2), side, device=device)
            sizes = resolution, torch.ones(len(chosen), 1, device=device)
        return TextCond(embeds[chosen], masks[chosen], *sizes, embeds[-1:], masks[-1:])

    return cond, len(embeds) - 1


def class_name(source):
    """The class of the pipeline in a folder or hub repository, as model_index.json names it."""
    return _model_index(source).get("_class_name")


def _index(source):
    """-> the model_index.json of a pipeline. BadInput where its class is not one of PIPELINES."""
    index = _model_index(source)
    name = index.get("_class_name")
    check(name in PIPELINES, "model", name, f"choose one of {', '.join(PIPELINES)}")
    return index


def _model_index(source):
    """-> a pipeline's model_index.json; an empty dict where that holds something else."""
    index = from_pretrained(DiffusionPipeline.load_config, source)
    return index if isinstance(index, dict) else {}


def from_pretrained(load, source, **options):
    right = "no folder of that name is here, and a hub id is owner/name"
    check(Path(source).exists() or HUB_ID.fullmatch(str(source)), "model", str(source), right)
    logging.set_verbosity_error()  # a failure is reported by the BadInput below
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside diffusers and the hub's client
            return load(source, **options)
    except Exception as error:  # on an odd folder diffusers raises almost anything
        raise BadInput(
            f"model: {source} is neither the folder of a diffusers pipeline nor a hub id that can "
            f"be loaded ({first_line(error)})"
        ) from None
