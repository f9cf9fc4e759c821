"""Training a router: the loop over trajectories, and what a trajectory is (Work). learner.py has
the rows, the optimizer and beta.

A RouterTraining selects the walk (SDT, Learning-to-Cache, direct) and the objective (MSE, IEPO). A
trajectory's noise and labels depend only on (training seed, trajectory, sample), and the state is
saved regularly, so a killed run resumes to the same router. With several ranks (ranks.py) each
walks its part of the batch; the rows are the same on all of them.
"""

from collections import Counter

import numpy as np
import torch

from harmonica import samplers
from harmonica.errors import check
from harmonica.method import direct, iepo, ltc, ranks, sdt, seeds
from harmonica.method.denoise import Denoiser
from harmonica.method.learner import CORRECT_FROM, Learner, restore, save
from harmonica.method.router import CLAMP

TINY = 1e-30  # avoids 0 / 0: lambda is 0 at all steps as long as nothing is reused


def train(loaded, router, state_path, *, pair=None, save_every=10, progress=iter):
    """Train `router` (a RouterSpec) on a loaded model -> logits (T, N), log (one dict per
    trajectory).

    Resumes from `state_path` where it exists and saves there every `save_every` trajectories.
    `progress` wraps the iterator over trajectories (tqdm, say).
    """
    config = router.training
    logits = initial_logits(
        router.num_steps, loaded.backbone.num_blocks, config.seed, config.initial
    ).to(loaded.device)
    work = Work(loaded, router, pair)
    return learn(work, config, logits, state_path, save_every=save_every, progress=progress)


def learn(work, config, logits, state_path, *, save_every=1, progress=iter):
    """The loop over trajectories; returns as `train`. work: an object with Work's methods lambda_,
    walk and trained. logits (T, N): the initial ones.
    """
    learner = Learner(
        logits, tau=config.tau, lr=config.lr, adam_eps=config.adam_eps, beta=config.beta or 0.0
    )
    log = restore(state_path, learner)
    bar = progress(range(len(log), config.trajectories))
    for trajectory in bar:
        refreshed = config.objective != "mse" and trajectory % config.refresh == 0
        if refreshed:
            learner.lambda_ = work.lambda_(learner.logits(), trajectory)
        data_loss = work.walk(learner, trajectory)
        log.append(
            {
                "data_loss": data_loss,
                "cur_percent": learner.cur_percent(),
                "beta": learner.beta,
                "lambda": learner.lambda_.tolist() if refreshed else None,
            }
        )
        if config.dual and trajectory > 0:
            learner.ascend(config.cur_percent)
        elif config.cur_percent is not None:
            learner.steer(
                config.cur_percent, correct=trajectory >= CORRECT_FROM * config.trajectories
            )
        if hasattr(bar, "set_postfix"):
            bar.set_postfix(
                loss=f"{data_loss:.2g}",
                CUR=f"{learner.cur_percent():.1f}%",
                lambda_=f"{learner.lambda_[1:].mean():.2g}",
            )
        if (trajectory + 1) % save_every == 0 and ranks.is_first():
            save(state_path, learner, log)
    return work.trained(learner.logits().cpu()), log


class Work:
    """The trajectories of one router's training: their noise, labels and walks."""

    def __init__(self, loaded, router, pair=None):
        self.loaded, self.router, self.config = loaded, router, router.training
        check(
            self.config.walk != "ltc" or loaded.images,
            "walk",
            "ltc",
            "it trains on images and there are none for this model; "
            "`python -m harmonica latents prepare` makes ImageNet's",
        )
        self.sampler = loaded.sampler or samplers.load(router.sampler)
        self.timesteps = self.sampler.timesteps(router.num_steps)
        self.pair = pair
        rows = self.ltc_steps() if self.config.walk == "ltc" else self.timesteps[1:]
        right = "none of these steps learns to reuse; give more"
        check(len(rows) > 0, "num_steps", router.num_steps, right)

    def walk(self, learner, trajectory):
        """All updates of one trajectory -> the mean data loss."""
        learner.data_losses.clear()
        if self.config.walk == "ltc":
            for key, step, count in self.ltc_updates(trajectory):
                x0, eps, cond = self.draw_images(trajectory, key, count)
                noise = self.step_noise(count, seeds.DATA, trajectory, *key)
                denoiser = self.denoiser(cond, 1.0, noise)
                ltc.update_pair(denoiser, x0, eps, step, learner, self.pair)
        else:
            denoiser, x = self.begun(seeds.TRAJECTORY, trajectory, self.config.batch)
            if self.config.walk == "sdt":
                sdt.walk(denoiser, x, learner, self.pair)
            else:
                direct.walk(denoiser, x, learner, self.config.checkpoint)
        return float(ranks.mean(torch.stack(learner.data_losses).mean()))

    def ltc_steps(self):
        """The steps whose rows Learning-to-Cache trains."""
        return ltc.trained_steps(self.router.num_steps, self.config.ltc_form, self.sampler.calls)

    def ltc_updates(self, trajectory):
        """Yield (key of the random numbers, step, number of images) for every update of one round.
        Without drawn_steps: every trained step once. With it: as many turns, in each of which
        drawn_steps steps are drawn; a step drawn twice gets one update with twice the images.
        """
        steps = self.ltc_steps()
        drawn = self.config.drawn_steps
        if drawn is None:
            yield from (((step,), step, self.config.batch) for step in steps)
            return
        for turn in range(len(steps)):
            rngs = seeds.generators(
                seeds.DATA, self.config.seed, trajectory, turn, indices=range(drawn)
            )
            counts = Counter(steps[k] for k in seeds.choices(rngs, len(steps)).tolist())
            for step, times in sorted(counts.items()):
                yield (turn, step), step, times * self.config.batch // drawn

    def trained(self, logits):
        """The logits; rows that were never trained are set to "compute everything"."""
        if self.config.walk == "ltc":
            steps = set(self.ltc_steps())
            logits[[step for step in range(self.router.num_steps) if step not in steps]] = CLAMP
        return logits

    def lambda_(self, logits, trajectory):
        """Measure lambda (T,) at these logits, from noise that is used for nothing else."""
        denoiser, x = self.begun(seeds.LAMBDA, trajectory, self.config.lambda_batch)
        scores = torch.sigmoid(logits)
        if self.config.lambda_scores == "hard":
            scores = (scores > self.config.tau).float()
        measure = iepo.DEFINITIONS[self.config.objective]
        named = {"distance": self.distance()} if self.config.lambda_distance else {}
        lambda_ = measure(denoiser, x, scores, self.config.tau, **named)
        lambda_ = ranks.mean(lambda_.nan_to_num(0.0))
        if self.config.lambda_distance == "log":
            lambda_ = torch.log1p(lambda_ / lambda_.mean().clamp(min=TINY))
        return lambda_

    def distance(self):
        """-> the distance(images, others) of two batches of images that lambda is measured in."""
        if self.config.lambda_distance != "features":
            return iepo.DISTANCES.get(self.config.lambda_distance, iepo.squared)
        features = self.loaded.features
        right = "no judge is known that sees this model's images"
        check(features is not None, "lambda_distance", "features", right)
        return lambda images, others: iepo.squared(features(images), features(others))

    def begun(self, domain, trajectory, count):
        """-> the Denoiser of this rank's part of `count` samples, and the noise they begin with."""
        x, cond = self.draw(domain, trajectory, count)
        noise = self.step_noise(count, domain, trajectory)
        return self.denoiser(cond, self.router.guidance, noise), x

    def draw(self, domain, trajectory, count):
        """-> this rank's part of `count` samples: noise (part, C, H, W) and conditioning."""
        rngs = seeds.generators(domain, self.config.seed, trajectory, indices=ranks.part(count))
        cond = self.loaded.cond(seeds.choices(rngs, self.loaded.num_conds))
        return seeds.normal(rngs, self.loaded.shape).to(self.loaded.device), cond

    def draw_images(self, trajectory, key, count):
        """-> this rank's part of `count` training images, noise of the same shape, conditioning."""
        images, conds = self.loaded.images
        device = self.loaded.device
        rngs = seeds.generators(
            seeds.DATA, self.config.seed, trajectory, *key, indices=ranks.part(count)
        )
        chosen = seeds.choices(rngs, len(images))
        eps = seeds.normal(rngs, self.loaded.shape).to(device)
        cond = self.loaded.cond(conds[chosen])
        if self.config.label_dropout:
            dropped = torch.tensor([rng.random() < self.config.label_dropout for rng in rngs])
            cond = self.with_nulls(cond, dropped)
        return images[chosen].to(device), eps, cond

    def with_nulls(self, labels, dropped):
        """The labels (B,), replaced by the null label where bool `dropped` (B,) is True."""
        right = "labels alone can be dropped; leave it out for a model with prompts"
        check(isinstance(labels, torch.Tensor), "label_dropout", self.config.label_dropout, right)
        null = self.loaded.backbone.with_null(labels)[len(labels) :]
        return torch.where(dropped.to(labels.device), null, labels)

    def step_noise(self, count, domain, *key):
        """-> noise(step) for this rank's part of `count` samples, for stochastic samplers."""
        return seeds.step_noise(
            domain, self.config.seed, *key, indices=ranks.part(count), shape=self.loaded.shape
        )

    def denoiser(self, cond, scale, noise=None):
        return Denoiser(
            self.loaded.backbone, self.sampler, self.timesteps, cond, scale=scale, noise=noise
        )


def initial_logits(num_steps, num_blocks, seed, all_at=None):
    """-> (T, N): standard normals, or `all_at` everywhere; the first row at the upper clamp."""
    logits = torch.from_numpy(
        np.random.default_rng(seed).standard_normal((num_steps, num_blocks), dtype=np.float32)
    )
    if all_at is not None:
        logits.fill_(all_at)
    logits[0] = CLAMP
    return logits
