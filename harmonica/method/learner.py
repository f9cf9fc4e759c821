"""The rows of a router under training: one AdamW, one clamp, the steering of beta to a wanted CUR;
and how they are saved.
"""

from math import exp

import torch

from harmonica.files import load_state, save_state
from harmonica.method import ranks, schedules
from harmonica.method.router import CLAMP

SLOPE_WEIGHT = 0.2  # of the newest slope in the running mean
CORRECT_FROM = 0.3  # of training: until then scores are on their way and the hard CUR says little
CORRECTION = 0.06  # per trajectory and unit of CUR
LEAST_REUSE = 0.1  # of 1 - r in a division: near r = 1 the slope is what other entries cause
MOST_EXCESS = (
    0.08  # a logit needs up to 70 updates to cross tau, so a larger correction would overshoot
)

DUAL_RATE = 1.0  # of the logarithm of beta, per trajectory and unit of CUR


class Learner:
    """The rows of logits (row 0 is never trained) under one AdamW; each row is a parameter of its
    own.

    lambda_ (T,) weighs the steps' errors. slopes (T, N): running mean of -d(data loss)/dr, what one
    more unit of reuse costs each entry; nan where never updated.
    """

    def __init__(self, logits, *, tau, lr, adam_eps=1e-8, beta=0.0, lambda_=None):
        self.rows = [torch.nn.Parameter(row.clamp(-CLAMP, CLAMP)) for row in logits]
        self.rows[0].requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.rows[1:], lr=lr, betas=(0.9, 0.999), eps=adam_eps, weight_decay=0
        )
        self.tau, self.beta, self.excess, self.data_losses = tau, beta, 0.0, []
        self.lambda_ = torch.ones(len(logits), device=logits.device) if lambda_ is None else lambda_
        self.slopes = torch.full_like(logits, torch.nan)

    def scores(self, step):
        """r = sigmoid(logits) of one row, a leaf of the graph."""
        return torch.sigmoid(self.rows[step]).detach().requires_grad_()

    def update(self, step, r, data_loss):
        """One update of one row by lambda * data_loss + beta * sum r; and its clamp."""
        self._move(step, r, torch.autograd.grad(data_loss, r)[0])
        self.data_losses.append(data_loss.detach())

    def update_all(self, rows, data_loss):
        """One update of every row {step: r}, by one backward pass of a loss that all of them are
        in.
        """
        slopes = torch.autograd.grad(data_loss, list(rows.values()))
        for (step, r), slope in zip(rows.items(), slopes):
            self._move(step, r, slope)
        self.data_losses.append(data_loss.detach())

    def _move(self, step, r, slope):
        slope = ranks.mean(slope)
        r, row = r.detach(), self.rows[step]
        row.grad = (self.lambda_[step] * slope + self.beta) * r * (1 - r)  # through the sigmoid
        self.optimizer.step()
        row.grad = None
        with torch.no_grad():
            row.clamp_(-CLAMP, CLAMP)
        known = torch.where(self.slopes[step].isnan(), -slope, self.slopes[step])
        self.slopes[step] = known.lerp(-slope, SLOPE_WEIGHT)

    def logits(self):
        """(T, N), without graph."""
        return torch.stack([row.detach() for row in self.rows])

    def cur_percent(self):
        """The hard CUR at tau."""
        return schedules.cur_percent(torch.sigmoid(self.logits()) > self.tau)

    def ascend(self, target_percent):
        """Move beta as the multiplier of a constraint on the CUR: up while it is too low, down while
        it is too high, by a factor.
        """
        self.beta *= exp(DUAL_RATE * (target_percent - self.cur_percent()) / 100)

    def steer(self, target_percent, correct):
        """Set beta so that the wanted share of all T N entries settles below tau.

        With an error that is quadratic in 1 - r, the slope is k (1 - r), and the minimum of error +
        beta r lies below tau exactly where beta > k (1 - tau): beta is a quantile of these k,
        weighted by lambda. With `correct` the quantile is moved by how far the hard CUR lies from
        the target. Of rows whose lambda is 0 (by hard scores: they reuse nothing yet) nothing is
        known, so they are left out, unless all are: then every lambda counts as 1.
        """
        if correct:
            excess = self.excess + CORRECTION * (target_percent - self.cur_percent()) / 100
            self.excess = min(max(excess, -MOST_EXCESS), MOST_EXCESS)
        reuse = (1 - torch.sigmoid(self.logits())).clamp(min=LEAST_REUSE)
        known, weighed = ~self.slopes.isnan(), (self.lambda_ > 0)[:, None]
        share = (target_percent / 100 + self.excess) * self.slopes.numel() / known.sum().item()
        some = bool((known & weighed).any())
        k = ((self.lambda_[:, None] if some else 1) * self.slopes / reuse)[
            known & weighed if some else known
        ]
        self.beta = (1 - self.tau) * float(k.quantile(min(max(share, 0.0), 1.0)).clamp(min=0))


def save(path, learner, log):
    """Everything that `restore` needs to go on as if nothing had happened."""
    tensors = {"logits": learner.logits(), "lambda": learner.lambda_, "slopes": learner.slopes}
    for i, moments in learner.optimizer.state_dict()["state"].items():
        tensors |= {f"{name}.{i}": value for name, value in moments.items()}
    save_state(path, tensors, {"beta": learner.beta, "excess": learner.excess, "log": log})


def restore(path, learner):
    """-> the log so far, [] where nothing was saved. BadInput where the file is damaged."""
    saved = load_state(path)
    if saved is None:
        return []
    tensors, about = saved
    for row, logits in zip(learner.rows, tensors.pop("logits")):
        row.data.copy_(logits)
    learner.lambda_ = tensors.pop("lambda").to(learner.slopes.device)
    learner.slopes = tensors.pop("slopes").to(learner.slopes.device)
    learner.beta, learner.excess = about["beta"], about["excess"]
    moments = {}
    for name, value in tensors.items():
        kind, _, i = name.rpartition(".")
        moments.setdefault(int(i), {})[kind] = value
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    return about["log"]
