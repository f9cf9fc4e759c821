"""train(pipe) trains HarmoniCa's router for a user's own pipeline, by SDT and IEPO (see
harmonica.method). It runs the pipeline's own call, scheduler and guidance, and needs no images.

The error of a step is measured in the model output that the pipeline passes to its scheduler, with
guidance applied.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from tqdm import tqdm

from harmonica.errors import check
from harmonica.files import locked, write_json
from harmonica.method import iepo
from harmonica.method.learner import Learner
from harmonica.method.masks import budget
from harmonica.method.router import CLAMP, FILE, Router
from harmonica.method.settings import RouterTraining
from harmonica.method.train import initial_logits, learn
from harmonica.pipeline.about import agreed, origin
from harmonica.pipeline.arguments import check_cur, check_steps, folder_of, whole
from harmonica.pipeline.calls import draw_of
from harmonica.pipeline.estimate import duration, gibibytes, timed
from harmonica.pipeline.replay import Replay
from harmonica.pipeline.walk import DIFFERENTIABLE, walking
from harmonica.search.walks import uncached


@torch.inference_mode(False)  # gradients are needed, also where the caller switched them off
def train(
    pipe: DiffusionPipeline,
    prompts: Sequence[str | int] | None = None,
    steps: int = 20,
    cur: float = 50,
    guidance: float | None = None,
    *,
    trajectories: int = 100,
    batch: int = 8,
    seed: int = 0,
    call: Callable | None = None,
    out: str | Path | None = None,
    offload: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **arguments,
) -> Router | None:
    """Train a router for `pipe` -> Router, for harmonica.apply.

        router = harmonica.train(pipe, prompts, steps=20, cur=50)

    pipe, prompts, steps, cur, guidance, call, quiet and arguments: as in harmonica.search.
    trajectories: how many training walks; each updates every row of the router once. batch: images
    in a trajectory. seed: of noise and initial logits. out: a folder for the router; a killed
    training is resumed there. offload: the transformer's blocks are checkpointed. dry_run: print
    what it would cost, and return None.
    """
    trajectories, batch = whole("trajectories", trajectories, 1), whole("batch", batch, 1)
    seed, out = whole("seed", seed, 0), folder_of(out)
    training = router_training(steps, cur, trajectories, batch, seed)
    draw = draw_of(pipe, call, prompts, steps, guidance, arguments)
    with ExitStack() as stack:
        walk, memory = stack.enter_context(walking(pipe, draw, offload))
        work = Trajectories(walk, training)
        if not quiet:
            print(work.cost_words(replace(memory, offload=False)), file=sys.stderr, flush=True)
        if dry_run:
            return None
        folder = out or stack.enter_context(TemporaryDirectory())
        bar = partial(tqdm, unit="trajectory", disable=quiet)
        return in_folder(Path(folder), work.about, partial(work.router, bar))


def router_training(num_steps, cur_percent, trajectories, batch, seed):
    """-> the RouterTraining of SDT and IEPO with the settings of the digits scale, which suit few
    trajectories.
    """
    check_cur(cur_percent)
    num_steps = check_steps(num_steps)
    budget(cur_percent, num_steps, num_blocks=1)  # refuses a cur that no schedule can have
    return RouterTraining(
        walk="sdt",
        objective="leave-one-out",
        lambda_scores="soft",
        trajectories=trajectories,
        batch=batch,
        refresh=max(1, trajectories // 10),
        lambda_batch=batch,
        lr=0.1,
        adam_eps=1e-12,
        tau=0.1,
        cur_percent=cur_percent,
        seed=seed,
    )


def work_of(training, num_steps, fixed=1):
    """-> how many updates a training takes, and how many forwards for lambda: one walk, and from
    each step a fork to the end. fixed: how many steps compute everything, which have no updates.
    """
    updates = training.trajectories * (num_steps - fixed)
    refreshes = -(-training.trajectories // training.refresh)
    return updates, refreshes * num_steps * (num_steps + 1) // 2


def in_folder(out, config, trained):
    """-> the Router of a folder. If it is not there yet, trained(path of the state) -> Router, log
    makes it, or resumes a killed training. config: must equal that of the earlier calls.
    """
    with locked(out, ".training"):
        agreed(config, out / "config.json", "training", FILE)
        if not (out / FILE).exists():
            state = out / "state.safetensors"
            router, log = trained(state)
            write_json(out / "log.json", log)
            router.save_pretrained(out)
            state.unlink(missing_ok=True)
    return Router.from_pretrained(out)


class Trajectories:
    """Training on a pipeline, in the form that method.train.learn needs: walk, lambda_, trained."""

    def __init__(self, walk, training):
        walk.learn(0, range(training.batch))
        self.pipe_walk, self.training, self.replay = walk, training, Replay(walk)
        walk.budget(training.cur_percent)  # refuses one that cannot be reached
        self.about = {
            **origin(walk),
            "num_steps": walk.num_steps,
            "conds": walk.draw.described(),
            "training": asdict(training),
        }

    def initial(self):
        """The initial logits (T, N): random but in the rows of steps that always compute all."""
        walk = self.pipe_walk
        logits = initial_logits(walk.num_steps, walk.num_blocks, self.training.seed)
        logits[walk.fixed] = CLAMP
        return logits.to(walk.pipe._execution_device)

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
        while point.step < self.pipe_walk.num_steps:
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
        walk = self.pipe_walk
        all_logits = torch.full((walk.num_steps, len(walk.names)), -CLAMP)
        all_logits[0] = CLAMP
        all_logits[:, list(walk.place)] = logits
        router = Router(
            logits=all_logits,
            tau=self.training.tau,
            timesteps=walk.timesteps,
            about=self.about,
        )
        return router, log

    def cost_words(self, memory):
        """The words that tell what training takes, estimated from one timed update and step."""
        walk, training = self.pipe_walk, self.training
        learner = Learner(self.initial(), tau=training.tau, lr=training.lr)
        point, forward = timed(lambda: self.first(0))
        while point.step in walk.fixed:
            point = self.replay.advance(point, self.replay.computed)
        _, update_seconds = timed(lambda: update(self.replay, learner, point))
        updates, forwards = work_of(training, walk.num_steps, len(walk.fixed))
        seconds = updates * update_seconds + (forwards + training.trajectories) * forward
        memory = memory.of_walk(2, walk.passes, predicted=0)  # the cache, and the new mixes
        return (
            f"{walk.words()}\n"
            f"training   {updates} updates and {forwards} forwards, "
            f"{training.batch} images at once\n"
            f"memory     about {gibibytes(memory.on_device(training.batch))}\n"
            f"time       about {duration(seconds)} ({update_seconds:.2g} s for an update)"
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
    ran = [outputs for outputs, _ in after.states.values() if point.step in outputs]
    if all(len(outputs) == 1 for outputs in ran):
        return after  # each pass ran for the first time: everything was computed, whatever the row
    check(student.requires_grad, "call", "without a gradient", DIFFERENTIABLE)
    learner.update(point.step, r, F.mse_loss(student.to(r.dtype), teacher.to(r.dtype)))
    return after
