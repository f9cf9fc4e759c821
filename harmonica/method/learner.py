"""A router in training: its rows, their optimizer and clamp, and how beta is adjusted to reach a
wanted CUR. Also saves and restores all of it.
"""

from math import exp

import torch

from harmonica.method import masks, ranks
from harmonica.method.resume import restore_training, save_training
from harmonica.method.router import CLAMP

SLOPE_WEIGHT = 0.2  # of the newest slope in the running mean
# Share of training without correction: scores still move far then, so the hard CUR says little.
CORRECT_FROM = 0.3
CORRECTION = 0.06  # change of `excess` per trajectory, times the error of the CUR (as a fraction)
LEAST_REUSE = 0.1  # lower bound of 1 - r as divisor: near r = 1 other entries cause the slope
# Largest |excess|: a logit needs up to 70 updates to cross tau, so a larger one would overshoot.
MOST_EXCESS = 0.08

DUAL_RATE = 1.0  # change of log(beta) per trajectory, times the error of the CUR (as a fraction)


class Learner:
    """The rows of logits, each a parameter of its own, under one AdamW. Row 0 is never trained.

    lambda_ (T,): the weights of the steps' errors, 1 until they are measured. slopes (T, N):
    running mean of -d(data loss)/dr, how fast the loss grows as an entry reuses more; nan for
    entries that were never updated. excess: a correction of the wanted share, see steer.
    """

    def __init__(self, logits, *, tau, lr, adam_eps=1e-8, beta=0.0):
        self.rows = [torch.nn.Parameter(row.clamp(-CLAMP, CLAMP)) for row in logits]
        self.rows[0].requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.rows[1:], lr=lr, betas=(0.9, 0.999), eps=adam_eps, weight_decay=0
        )
        self.tau, self.beta, self.excess, self.data_losses = tau, beta, 0.0, []
        self.lambda_ = torch.ones(len(logits), device=logits.device)
        self.slopes = torch.full_like(logits, torch.nan)

    def scores(self, step):
        """r = sigmoid(logits) of one row, as a new leaf that requires grad (see _move)."""
        return torch.sigmoid(self.rows[step]).detach().requires_grad_()

    def update(self, step, r, data_loss):
        """One optimizer step of one row on lambda * data_loss + beta * sum r, then the clamp."""
        self._move(step, r, torch.autograd.grad(data_loss, r)[0])
        self.data_losses.append(data_loss.detach())

    def update_all(self, rows, data_loss):
        """One update of every row in {step: r}, by one backward pass of a loss of all of them."""
        slopes = torch.autograd.grad(data_loss, list(rows.values()))
        for (step, r), slope in zip(rows.items(), slopes):
            self._move(step, r, slope)
        self.data_losses.append(data_loss.detach())

    def _move(self, step, r, slope):
        slope = ranks.mean(slope)
        r = r.detach()
        row = self.rows[step]
        row.grad = (self.lambda_[step] * slope + self.beta) * r * (1 - r)  # through the sigmoid
        self.optimizer.step()
        row.grad = None
        with torch.no_grad():
            row.clamp_(-CLAMP, CLAMP)
        slopes = torch.where(self.slopes[step].isnan(), -slope, self.slopes[step])
        self.slopes[step] = slopes.lerp(-slope, SLOPE_WEIGHT)

    def logits(self):
        """(T, N), detached."""
        return torch.stack([row.detach() for row in self.rows])

    def cur_percent(self):
        """The CUR in percent if every entry with r <= tau were reused."""
        return masks.cur_percent(torch.sigmoid(self.logits()) > self.tau)

    def ascend(self, target_percent):
        """Adjust beta as the multiplier of a constraint on the CUR: by a factor above 1 while the
        CUR is too low, below 1 while it is too high.
        """
        self.beta *= exp(DUAL_RATE * (target_percent - self.cur_percent()) / 100)

    def steer(self, target_percent, correct):
        """Set beta so that the wanted share of all T N entries settles below tau.

        Suppose an entry's error is quadratic in 1 - r. Then its slope is k (1 - r), and the minimum
        of lambda * error + beta r lies below tau exactly where beta > lambda k (1 - tau). So beta
        is (1 - tau) times a quantile of lambda k over the entries. With `correct` the quantile is
        moved by how far the hard CUR is from the target. Rows with lambda = 0 (with hard scores:
        those that reuse nothing yet) tell nothing and are left out; if all have 0, lambda counts as
        1 everywhere.
        """
        if correct:
            excess = self.excess + CORRECTION * (target_percent - self.cur_percent()) / 100
            self.excess = min(max(excess, -MOST_EXCESS), MOST_EXCESS)
        reuse = (1 - torch.sigmoid(self.logits())).clamp(min=LEAST_REUSE)
        known, weighed = ~self.slopes.isnan(), (self.lambda_ > 0)[:, None]
        share = (target_percent / 100 + self.excess) * self.slopes.numel() / known.sum().item()
        any_weighed = bool((known & weighed).any())
        k = ((self.lambda_[:, None] if any_weighed else 1) * self.slopes / reuse)[
            known & weighed if any_weighed else known
        ]
        self.beta = (1 - self.tau) * float(k.quantile(min(max(share, 0.0), 1.0)).clamp(min=0))


def save(path, learner, log):
    """Save all that training needs to resume exactly where it stopped; `restore` reads it."""
    about = {"beta": learner.beta, "excess": learner.excess, "log": log}
    beside = learner.lambda_, learner.slopes
    save_training(path, about, learner.rows, learner.optimizer, beside)


def restore(path, learner):
    """Load a saved state into the learner -> the log so far, [] where nothing was saved. BadInput
    where the file is damaged, or of another router.
    """
    beside = learner.lambda_, learner.slopes
    about = restore_training(path, learner.rows, learner.optimizer, beside)
    if about is None:
        return []
    learner.beta, learner.excess = about["beta"], about["excess"]
    return about["log"]
