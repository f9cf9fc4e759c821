"""A router for a user's own diffusers pipeline: by SDT and IEPO, without images, on the pipeline's scheduler.

Of the pipeline only the transformer is in memory, in float32 (TF32 products on a GPU): captions are embedded once, by a
text encoder that is gone before. No VAE is needed.
"""
import hashlib
import inspect
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import (AutoencoderKL, DDIMScheduler, DDPMScheduler, DiffusionPipeline, DPMSolverMultistepScheduler,
                       SASolverScheduler)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from . import BadInput, check, samplers, sdt, seeds
from .backbones.pixart import TextCond
from .models import Loaded
from .pipeline import backbone_of
from .router import FILE, Router
from .runs import RouterTraining
from .store import Store, read_json, write_json
from .training import Learner, Work, initial_logits, train

CAPTIONS = Path(__file__).with_name("captions.txt")     # of our own writing
PIPELINES = ("DiTPipeline", "PixArtAlphaPipeline", "PixArtSigmaPipeline")
# what else the config of a pipeline's scheduler needs to become another's
SCHEDULERS = {"ddim": (DDIMScheduler, {"clip_sample": False}),
              "ddpm": (DDPMScheduler, {"clip_sample": False, "variance_type": "fixed_small"}),
              "dpm++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
              "sa-solver": (SASolverScheduler, {"algorithm_type": "data_prediction"})}


@dataclass(frozen=True, kw_only=True)
class PipelineRouter:
    """A router to be trained, as far as a resumed training must agree on it. conds: captions by hash, or classes."""
    model: str
    model_sha256: str
    sampler: str
    scheduler: dict
    num_steps: int
    guidance: float
    conds: str
    training: RouterTraining

    id = "router"       # of its lock in the folder it is trained in


def router_training(num_steps, cur_percent, trajectories, batch, seed):
    """SDT and IEPO with the settings of the digits scale, which are made for few trajectories -> RouterTraining."""
    check(num_steps >= 2, "steps", num_steps, "a router needs at least 2: the first computes everything")
    most = 100 * (num_steps - 1) / num_steps
    check(0 < cur_percent <= most, "cur", cur_percent, f"with {num_steps} steps it lies above 0 and up to {most:g} percent")
    return RouterTraining(walk="sdt", objective="leave-one-out", lambda_scores="soft", trajectories=trajectories,
                          batch=batch, refresh=max(1, trajectories // 10), lambda_batch=batch, lr=0.1, adam_eps=1e-12,
                          tau=0.1, cur_percent=cur_percent, seed=seed)


def load_pipeline(source, sampler, captions, device):
    """-> models.Loaded of a pipeline folder or hub id, and the pipeline without what is not needed any more.

    sampler: a name of SCHEDULERS, or None for the pipeline's own scheduler. captions: a text file, one on each line;
    classes in turn where the pipeline takes none. BadInput where there is no such pipeline.
    """
    check(sampler is None or sampler in SCHEDULERS, "sampler", sampler, f"choose one of {', '.join(SCHEDULERS)}")
    index = _from_pretrained(DiffusionPipeline.load_config, source)
    check(index["_class_name"] in PIPELINES, "model", index["_class_name"], f"choose one of {', '.join(PIPELINES)}")
    text = "text_encoder" in index
    prompts = read_captions(captions) if text else None
    embeddings = embed(source, prompts, device) if text else None
    pipe = _from_pretrained(DiffusionPipeline.from_pretrained, source, dtype=torch.float32,
                            **{name: None for name in ("vae", "text_encoder", "tokenizer") if name in index})
    pipe.transformer.requires_grad_(False).to(device)
    if sampler is not None:
        scheduler, options = SCHEDULERS[sampler]
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **options)
    backbone = backbone_of(pipe)
    cond, count = _captions(source, pipe.transformer, embeddings, device) if text else _classes(backbone, device)
    return Loaded(None, backbone, cond, count, device=device, sampler=samplers.from_scheduler(pipe.scheduler)), pipe


def read_captions(path):
    """The lines of a text file that are not empty."""
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"captions: {path} cannot be read as a text file ({error})") from None
    check(any(lines), "captions", str(path), "it is empty; write one caption on each line")
    return [line for line in lines if line]


@torch.no_grad()
def embed(source, prompts, device, batch=16):
    """-> embeddings (n, L, C) float32 and masks (n, L) of the prompts, and as the last of n the empty prompt's."""
    pipe = _from_pretrained(DiffusionPipeline.from_pretrained, source, transformer=None, vae=None,
                            dtype=torch.float32 if device == "cpu" else torch.bfloat16)
    pipe.text_encoder.to(device)
    prompts = [*prompts, ""]
    parts = [pipe.encode_prompt(prompts[i:i + batch], do_classifier_free_guidance=False, device=device)[:2]
             for i in range(0, len(prompts), batch)]
    return torch.cat([embeds for embeds, _ in parts]).float(), torch.cat([mask for _, mask in parts])


def describe(source, loaded, pipe, captions, *, num_steps, guidance, training):
    """-> PipelineRouter. guidance None: the pipeline's default."""
    if guidance is None:
        guidance = inspect.signature(pipe.__call__).parameters["guidance_scale"].default
    conds = f"{loaded.num_conds} classes"
    if isinstance(loaded.cond([0]), TextCond):
        conds = f"{loaded.num_conds} captions, sha256 {hashlib.sha256(Path(captions).read_bytes()).hexdigest()[:12]}"
    return PipelineRouter(model=str(source), model_sha256=_sha256(pipe.transformer), sampler=type(pipe.scheduler).__name__,
                          scheduler=json.loads(pipe.scheduler.to_json_string()), num_steps=num_steps,
                          guidance=float(guidance), conds=conds, training=training)


def cost(loaded, router):
    """What training will take, from one update and one forward that are timed -> dict of counts, seconds and bytes."""
    config, steps, work = router.training, router.num_steps, Work(loaded, router)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()        # of the text encoder
    x, cond = work.draw(seeds.TRAJECTORY, 0, config.batch)
    denoiser = work.denoiser(cond, router.guidance, work.step_noise(config.batch, seeds.TRAJECTORY, 0))
    logits = initial_logits(steps, len(loaded.backbone.blocks), config.seed).to(loaded.device)
    learner = Learner(logits, tau=config.tau, lr=config.lr)
    first = denoiser.advance(denoiser.begin(x), denoiser.computed)
    learn, forward = sdt.update_by(denoiser, learner), torch.no_grad()(denoiser.computed)
    update_s, forward_s = (min(_seconds(denoiser.advance, first, one) for _ in range(2)) for one in (learn, forward))
    updates, refreshes = config.trajectories * (steps - 1), -(-config.trajectories // config.refresh)
    forwards = refreshes * steps * (steps + 1) // 2      # of lambda: the walk, and at each step a fork to the end
    return {"updates": updates, "lambda_forwards": forwards, "update_s": update_s, "forward_s": forward_s,
            "seconds": updates * update_s + (forwards + config.trajectories) * forward_s, "peak_bytes": _peak_bytes()}


def train_router(loaded, router, out, progress=iter):
    """Train, or go on where a killed training stopped, or find it done -> the Router, saved in the folder `out`."""
    out, store = Path(out), Store(out)
    with store.lock(router):
        _agree(router, out / "config.json")
        if not (out / FILE).exists():
            state = out / "state.safetensors"
            # each trajectory is saved: here they are long, and the state is small
            logits, log = train(loaded, router, state, save_every=1, progress=progress)
            write_json(out / "log.json", log)
            Router(logits=logits, tau=router.training.tau, timesteps=tuple(loaded.sampler.timesteps(router.num_steps)),
                   about={**asdict(router), "kinds": loaded.backbone.kinds}).save_pretrained(out)
            state.unlink(missing_ok=True)
    return Router.from_pretrained(out)


def _captions(source, transformer, embeddings, device):
    """cond and its number for a PixArt pipeline: captions in turn, at the size that the transformer was trained for."""
    (embeds, masks), sizes = embeddings, (None, None)
    if transformer.use_additional_conditions:
        levels = len(_from_pretrained(AutoencoderKL.load_config, source, subfolder="vae")["block_out_channels"])
        side = float(transformer.config.sample_size * 2 ** (levels - 1))      # in pixels
        sizes = torch.full((1, 2), side, device=device), torch.ones(1, 1, device=device)

    def cond(indices):
        chosen = torch.as_tensor(indices) % (len(embeds) - 1)
        resolution, aspect_ratio = (size if size is None else size.expand(len(chosen), -1) for size in sizes)
        return TextCond(embeds[chosen], masks[chosen], resolution, aspect_ratio, embeds[-1:], masks[-1:])
    return cond, len(embeds) - 1


def _classes(backbone, device):
    return lambda indices: torch.as_tensor(indices, device=device) % backbone.num_classes, backbone.num_classes


def _from_pretrained(load, source, **options):
    try:
        return load(source, **options)
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise BadInput(f"model: {source} is neither the folder of a diffusers pipeline nor a hub id that can be loaded "
                       f"({' '.join(str(error).split())[:200]})") from None


def _sha256(module):
    """Over names and values of its tensors, as they are loaded."""
    whole = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        whole.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()


def _agree(router, path):
    """A folder belongs to one configuration. The model is what its hash says, wherever it lies."""
    config = json.loads(json.dumps(asdict(router)))
    if not path.exists():
        return write_json(path, config)
    there = read_json(path)
    flat, there = ({**own, **own.get("training", {})} for own in (config, there))
    differing = [field for field in flat if field not in ("model", "training") and there.get(field) != flat[field]]
    check(not differing, "out", str(path.parent),
          f"it holds a router with another {', '.join(differing)}; choose another folder")


def _seconds(function, *arguments):
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begin = time.perf_counter()
    function(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _peak_bytes():
    """Of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
