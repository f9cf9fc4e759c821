"""Trains a router for a DiT or PixArt pipeline by SDT and IEPO, with this package's fast backbones
and denoising loop on the pipeline's scheduler. (train.py can train for any pipeline, through the
pipeline's own call.)

Only the pipeline's transformer is in memory (see loading.py), in float32, with TF32 matrix products
on a GPU.
"""

import hashlib
import inspect
import json
import resource
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from harmonica.backbones.pixart import TextCond
from harmonica.fast.training import training_pair
from harmonica.method import sdt, seeds
from harmonica.method.learner import Learner
from harmonica.method.router import Router
from harmonica.method.settings import RouterTraining
from harmonica.method.train import Work, initial_logits, train
from harmonica.pipeline.about import name_of, sha256
from harmonica.pipeline.estimate import timed
from harmonica.pipeline.train import in_folder, work_of


@dataclass(frozen=True, kw_only=True)
class PipelineRouter:
    """A router to be trained: all settings that must be the same when a training is resumed. conds:
    the number of captions and their hash, or the number of classes.
    """

    model: str
    model_sha256: str
    sampler: str
    scheduler: dict
    num_steps: int
    guidance: float
    conds: str
    training: RouterTraining


def describe(source, loaded, pipe, captions, *, num_steps, guidance, training):
    """-> PipelineRouter. guidance None: the pipeline's default."""
    if guidance is None:
        guidance = inspect.signature(pipe.__call__).parameters["guidance_scale"].default
    conds = f"{loaded.num_conds} classes"
    if isinstance(loaded.cond([0]), TextCond):
        digest = hashlib.sha256(Path(captions).read_bytes()).hexdigest()[:12]
        conds = f"{loaded.num_conds} captions, sha256 {digest}"
    return PipelineRouter(
        model=name_of(source),
        model_sha256=sha256(pipe.transformer),
        sampler=type(pipe.scheduler).__name__,
        scheduler=json.loads(pipe.scheduler.to_json_string()),
        num_steps=num_steps,
        guidance=float(guidance),
        conds=conds,
        training=training,
    )


def cost(loaded, router):
    """Estimate what training will take, from one timed update and one timed forward -> a dict of
    counts, seconds and bytes.
    """
    config, steps = router.training, router.num_steps
    work = Work(loaded, router)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()  # forget the text encoder's peak
    denoiser, x = work.begun(seeds.TRAJECTORY, 0, config.batch)
    logits = initial_logits(steps, loaded.backbone.num_blocks, config.seed).to(loaded.device)
    learner = Learner(logits, tau=config.tau, lr=config.lr)
    point = denoiser.advance(denoiser.begin(x), denoiser.computed)
    learn = sdt.update_by(denoiser, learner, training_pair(loaded))
    forward = torch.no_grad()(denoiser.computed)
    update_s, forward_s = (
        min(timed(partial(denoiser.advance, point, function))[1] for _ in range(2))
        for function in (learn, forward)
    )
    updates, forwards = work_of(config, steps)
    return {
        "updates": updates,
        "lambda_forwards": forwards,
        "update_s": update_s,
        "forward_s": forward_s,
        "seconds": updates * update_s + (forwards + config.trajectories) * forward_s,
        "peak_bytes": _peak_bytes(),
    }


def train_router(loaded, router, out, progress=iter):
    """Train a router, resume a killed training, or find the router finished -> the Router, which is
    saved in the folder `out`.
    """

    def trained(state):
        # saved after each trajectory: here they are long, and the state is small
        pair = training_pair(loaded)
        logits, log = train(loaded, router, state, pair=pair, save_every=1, progress=progress)
        result = Router(
            logits=logits,
            tau=router.training.tau,
            timesteps=tuple(loaded.sampler.timesteps(router.num_steps)),
            about={**asdict(router), "kinds": loaded.backbone.kinds},
        )
        return result, log

    return in_folder(Path(out), asdict(router), trained)


def _peak_bytes():
    """The peak memory of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
