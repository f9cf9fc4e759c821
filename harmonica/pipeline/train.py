"""train(pipe) trains HarmoniCa's router for a user's own pipeline, by SDT and IEPO (see
harmonica.method). It runs the pipeline's own call, scheduler and guidance, and needs no images.

The error of a step is measured in the model output that the pipeline passes to its scheduler, with
guidance applied.
"""

import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from tqdm import tqdm

from harmonica.errors import check
from harmonica.method import iepo
from harmonica.method.learner import Learner
from harmonica.method.router import CLAMP, Router
from harmonica.method.train import initial_logits, learn
from harmonica.pipeline.about import origin
from harmonica.pipeline.calls import draw_of
from harmonica.pipeline.estimate import gibibytes, minutes, timed
from harmonica.pipeline.replay import Replay
from harmonica.pipeline.sampling import DIFFERENTIABLE, walking
from harmonica.pipeline.train_fast import in_folder, router_training
from harmonica.search.walks import uncached


def train(
    pipe,
    prompts=None,
    steps=20,
    cur=50,
    guidance=None,
    *,
    trajectories=100,
    batch=8,
    seed=0,
    call=None,
    out=None,
    offload=False,
    dry_run=False,
    quiet=False,
    **arguments,
):
    """Train a router for `pipe` -> Router, for harmonica.apply.

        router = harmonica.train(pipe, prompts, steps=20, cur=50)

    pipe, prompts, steps, cur, guidance, call, quiet and arguments: as in harmonica.search.
    trajectories: how many training walks; each updates every row of the router once. batch: images
    in a trajectory. seed: of noise and initial logits. out: a folder for the router; a killed
    training is resumed there. offload: the transformer's blocks are checkpointed. dry_run: print
    what it would cost, and return None.
    """
    training = router_training(steps, cur, trajectories, batch, seed)
    draw = draw_of(pipe, call, prompts, steps, guidance, arguments)
    with ExitStack() as stack:
        sampling, memory = stack.enter_context(walking(pipe, draw, offload))
        work = Trajectories(sampling, training)
        if not quiet:
            print(work.cost_words(replace(memory, offload=False)), file=sys.stderr, flush=True)
        if dry_run:
            return None
        folder = out or stack.enter_context(TemporaryDirectory())
        bar = partial(tqdm, unit="trajectory", disable=quiet)
        return in_folder(Path(folder), work.about, partial(work.router, bar))


class Trajectories:
    """Training on a pipeline, in the form that method.train.learn needs: walk, lambda_, trained."""

    def __init__(self, sampling, training):
        sampling.learn(0, range(training.batch))
        self.sampling, self.training, self.replay = sampling, training, Replay(sampling)
        sampling.budget(training.cur_percent)  # refuses one that cannot be reached
        self.about = {
            **origin(sampling),
            "num_steps": sampling.num_steps,
            "conds": sampling.draw.described(),
            "training": asdict(training),
        }

    def initial(self):
        """The initial logits (T, N): random, except in the rows of steps that always
        compute all.
        """
        sampling = self.sampling
        logits = initial_logits(sampling.num_steps, sampling.num_blocks, self.training.seed)
        logits[sampling.fixed] = CLAMP
        return logits.to(sampling.pipe._execution_device)

    def drawn(self, domain, trajectory):
        """-> the seed and the image indices of a trajectory. domain: 0 for training, 1 for lambda,
        whose noise is different. Consecutive trajectories take consecutive images.
        """
        first, count = trajectory * self.training.batch, self.training.batch
        return 2 * self.training.seed + domain, range(first, first + count)

    def walk(self, learner, trajectory):
        """All updates of one trajectory -> the mean data loss."""
        learner.data_losses.clear()
        point = self.first(trajectory)
        while point.step < self.sampling.num_steps:
            point = update(self.replay, learner, point)
        return float(torch.stack(learner.data_losses).mean())

    def first(self, trajectory):
        """The Point after the first step of a trajectory, which fills the cache."""
        return self.replay.advance(
            self.replay.begin(self.drawn(0, trajectory)), self.replay.computed
        )

    def lambda_(self, logits, trajectory):
        """IEPO's lambda (T,), on other noise than training's."""
        scores = torch.sigmoid(logits)
        x = self.drawn(1, trajectory)
        return iepo.leave_one_out(self.replay, x, scores, self.training.tau).nan_to_num(0.0)

    def trained(self, logits):
        return logits

    def router(self, bar, state):
        """Train -> Router, log. bar: makes the progress bar. state: the file of a
        resumable state.
        """
        logits, log = learn(self, self.training, self.initial(), state, progress=bar)
        sampling = self.sampling
        all_logits = torch.full((sampling.num_steps, len(sampling.names)), -CLAMP)
        all_logits[0] = CLAMP
        all_logits[:, list(sampling.place)] = logits
        router = Router(
            logits=all_logits,
            tau=self.training.tau,
            timesteps=sampling.timesteps,
            about=self.about,
        )
        return router, log

    def cost_words(self, memory):
        """The words that tell what training takes, estimated from one timed update and step."""
        sampling, training, T = self.sampling, self.training, self.sampling.num_steps
        learner = Learner(self.initial(), tau=training.tau, lr=training.lr)
        point, forward = timed(lambda: self.first(0))
        while point.step in sampling.fixed:
            point = self.replay.advance(point, self.replay.computed)
        _, update_seconds = timed(lambda: update(self.replay, learner, point))
        updates = training.trajectories * (T - len(sampling.fixed))
        forwards = -(-training.trajectories // training.refresh) * T * (T + 1) // 2
        seconds = updates * update_seconds + (forwards + training.trajectories) * forward
        memory = memory.of_walk(2, sampling.passes, predicted=0)  # the cache, and the new mixes
        return (
            f"{sampling.words()}\n"
            f"training   {updates} updates and {forwards} forwards, {training.batch} images at "
            "once\n"
            f"memory     about {gibibytes(memory.on_device(training.batch))}\n"
            f"time       about {minutes(seconds)} ({update_seconds:.2g} s for an update)"
        )


def update(replay, learner, point):
    """One step of Step-Wise Denoising Training: teacher and student start from the same latents and
    the step's router row is updated once -> the Point after the student's step.
    """
    r = learner.scores(point.step)
    with torch.no_grad():
        _, teacher = replay.guided(point, uncached)
    with torch.enable_grad():
        after, student = replay.guided(point, partial(replay.mixed, r, learner.tau))
    if not any(_reusable(state, point.step) for state in after.states.values()):
        return after  # each pass ran for the first time: everything was computed, whatever the row
    check(student.requires_grad, "call", "without a gradient", DIFFERENTIABLE)
    learner.update(point.step, r, F.mse_loss(student.to(r.dtype), teacher.to(r.dtype)))
    return after


def _reusable(state, step):
    """Whether a pass ran at this step and had run before, so that its cache was filled."""
    outputs, _ = state
    return step in outputs and len(outputs) > 1
