"""Training on the final image: its gradient is that of the whole walk, caches included, and no
activation needs to be kept for it.
"""

import pytest
import torch

from harmonica.lab.memory import live_peak
from harmonica.method import direct
from harmonica.method.learner import Learner
from harmonica.method.train import initial_logits


class Recorded(Learner):
    """A Learner that notes the gradients of the scores and leaves the rows as they are."""

    def update_all(self, rows, data_loss):
        self.loss = data_loss.item()
        grads = torch.autograd.grad(data_loss, list(rows.values()))
        self.grads = dict(zip(rows, grads))


def learner(num_steps=4, num_blocks=4, kind=Recorded):
    logits = initial_logits(num_steps, num_blocks, seed=0)
    return kind(logits.double(), tau=0.1, lr=0.1, adam_eps=1e-12)


def loss_of(walk, x, scores):
    """The mean squared difference of the final images, by a walk of Denoiser's own policies."""
    keep = walk.soft(scores, 0.1)
    ends = [walk.images(walk.walk(walk.begin(x), forward)) for forward in (walk.computed, keep)]
    return float((ends[0] - ends[1]).square().mean())


def test_the_gradient_is_that_of_the_final_image(tiny_walk):
    walk, x = tiny_walk(num_steps=4)
    own = learner()
    direct.walk(walk, x, own)
    scores = torch.sigmoid(own.logits())
    scores[0] = 1
    assert own.loss == pytest.approx(loss_of(walk, x, scores), rel=1e-5)
    for step, i in ((1, 0), (1, 3), (2, 1), (3, 2)):
        apart = torch.zeros_like(scores)
        apart[step, i] = 1e-4
        rise = loss_of(walk, x, scores + apart) - loss_of(walk, x, scores - apart)
        assert float(own.grads[step][i]) == pytest.approx(rise / 2e-4, rel=1e-3, abs=1e-9)


def test_computed_again_the_gradients_are_the_same_and_less_is_held(tiny_walk):
    walk, x = tiny_walk(num_steps=8)
    kept, again = learner(8), learner(8)
    peaks = [
        live_peak(lambda: direct.walk(walk, x, own, recompute))
        for own, recompute in ((kept, False), (again, True))
    ]
    for step, grad in kept.grads.items():
        torch.testing.assert_close(again.grads[step], grad, rtol=1e-9, atol=1e-15)
    assert peaks[1] < 0.6 * peaks[0]


def test_every_row_but_the_first_is_updated_once(tiny_walk):
    walk, x = tiny_walk(num_steps=4)
    own = learner(kind=Learner)
    before = own.logits()
    direct.walk(walk, x, own)
    changed = (own.logits() != before).any(1)
    assert changed.tolist() == [False, True, True, True]
    assert len(own.data_losses) == 1 and own.slopes[1:].isfinite().all()


def test_live_tensors_are_counted_until_nothing_holds_them():
    def work():
        x = torch.zeros(1000)
        for _ in range(5):
            x = x + 1  # the one before is freed
        return [x + k for k in range(3)]

    assert live_peak(work) == 4 * 1000 * (1 + 3)
