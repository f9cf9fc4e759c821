"""Training steps reach the router only, and are those of a plain autograd version; SDT's and
Learning-to-Cache's.
"""

import pytest
import torch
import torch.nn.functional as F

from harmonica.fast.training import fast_pair
from harmonica.method import ltc, sdt
from harmonica.method.cache import mix
from harmonica.method.learner import Learner

TAU, LR, BETA = 0.1, 0.05, 1e-4


def learner_for(denoiser):
    generator = torch.Generator().manual_seed(3)
    logits = (
        torch.randn(
            len(denoiser.timesteps),
            denoiser.backbone.num_blocks,
            generator=generator,
            dtype=torch.float64,
        )
        - 1
    )
    logits[0] = 5
    return Learner(logits, tau=TAU, lr=LR, beta=BETA)


class Plain:
    """What the released code does: weights with gradients, teacher with a graph, loss.backward()
    through everything.
    """

    def __init__(self, denoiser, logits, lambda_):
        self.denoiser, self.lambda_ = denoiser, lambda_
        self.rows = [torch.nn.Parameter(row.clone()) for row in logits]
        self.optimizer = torch.optim.AdamW(
            self.rows[1:], lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0
        )
        self.grads = []
        for parameter in denoiser.backbone.parameters():
            parameter.requires_grad_(True)

    def forward(self, step, x, cache):
        teacher, _ = self.denoiser.computed(step, x, cache)
        assert teacher.requires_grad
        r = torch.sigmoid(self.rows[step])
        at, cache = mix(r, (r > TAU).tolist(), cache)
        student = self.denoiser.run(step, x, at)
        (self.lambda_[step] * F.mse_loss(student, teacher) + BETA * r.sum()).backward()
        self.grads.append(self.rows[step].grad.clone())
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            for row in self.rows:
                row.clamp_(-5, 5)
        return student.detach(), cache


def record_grads(learner):
    grads = []
    learner.optimizer.register_step_pre_hook(
        lambda *_: grads.extend(row.grad.clone() for row in learner.rows if row.grad is not None)
    )
    return grads


def close(own, plain):
    assert len(own) == len(plain)
    for a, b in zip(own, plain):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.abs().max()))


@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize("weighted", [False, True], ids=["MSE", "IEPO"])
def test_a_walk_is_that_of_plain_autograd(tiny_walk, scale, weighted):
    denoiser, x = tiny_walk(scale=scale)
    learner = learner_for(denoiser)
    if weighted:
        generator = torch.Generator().manual_seed(0)
        learner.lambda_ = 30 * torch.rand(5, generator=generator, dtype=torch.float64)
    start, grads, finals = learner.logits(), record_grads(learner), []
    for _ in range(3):
        finals.append(sdt.walk(denoiser, x, learner))
    assert all(p.grad is None for p in denoiser.backbone.parameters())
    assert all(row.grad is None for row in learner.rows) and not finals[-1].x.requires_grad

    plain = Plain(denoiser, start, learner.lambda_)
    for final in finals:
        with torch.no_grad():
            point = denoiser.advance(denoiser.begin(x), denoiser.computed)
        while point.step < 5:
            point = denoiser.advance(point, plain.forward)
        close([final.x], [point.x.detach()])
    close(grads, plain.grads)
    close(learner.logits(), [row.detach() for row in plain.rows])
    assert denoiser.backbone.model.proj_out_2.weight.grad is not None  # the waste that is saved


def test_an_update_is_one_row_and_the_walk_goes_on_from_the_student(tiny_walk):
    """x_{t-1} comes from the student's output before the update, and the cache carries over."""
    denoiser, x = tiny_walk()
    learner = learner_for(denoiser)
    point = denoiser.advance(denoiser.begin(x), denoiser.computed)
    for step in range(1, 5):
        before = learner.logits()
        with torch.no_grad():
            expected = denoiser.advance(point, denoiser.soft(torch.sigmoid(before), TAU))
        point = denoiser.advance(point, sdt.update_by(denoiser, learner))
        assert torch.equal(point.x, expected.x) and all(
            map(torch.equal, point.cache, expected.cache)
        )
        changed = (learner.logits() != before).any(dim=1)
        assert changed.nonzero().flatten().tolist() == [step]


def test_weights_that_want_gradients_get_none(tiny_walk):
    denoiser, x = tiny_walk()
    denoiser.backbone.model.requires_grad_(True)
    with torch.no_grad():
        point = denoiser.advance(denoiser.begin(x), denoiser.computed)
    denoiser.advance(point, sdt.update_by(denoiser, learner_for(denoiser)))
    assert all(p.grad is None for p in denoiser.backbone.parameters())


def test_logits_stay_within_the_clamp_and_the_first_row_as_it_is(tiny_walk):
    denoiser, x = tiny_walk()
    for beta, lambda_, end in (
        (1e3, 1e-9, -5),
        (0, 1e9, 5),
    ):  # all pushed to reuse, all pushed to compute
        start = torch.linspace(-4, 4, 20, dtype=torch.float64).view(5, 4)
        learner = Learner(start, tau=TAU, lr=50.0, beta=beta)
        learner.lambda_ = torch.full((5,), lambda_)
        sdt.walk(denoiser, x, learner)
        assert torch.equal(learner.logits()[0], start[0])
        assert (
            learner.logits().abs().max() <= 5 and (learner.logits()[1:] == end).float().mean() > 0.7
        )


@pytest.mark.parametrize("step", [1, 3, 4])
def test_an_update_of_learning_to_cache_is_that_of_plain_autograd(tiny_walk, step):
    """x_t from data at the step before, one full step, then teacher and student at `step` alone."""
    denoiser, x0 = tiny_walk(scale=1.0)
    eps = torch.randn_like(x0)
    learner = learner_for(denoiser)
    start, grads = learner.logits(), record_grads(learner)
    for _ in range(2):
        ltc.update_pair(denoiser, x0, eps, step, learner)
    assert (learner.logits() != start).any(dim=1).nonzero().flatten().tolist() == [step]
    assert all(p.grad is None for p in denoiser.backbone.parameters())

    plain = Plain(denoiser, start, torch.ones(5))
    for _ in range(2):
        a = (
            torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
            .neg()
            .add(1)
            .cumprod(0)[denoiser.timesteps[step - 1]]
        )
        with torch.no_grad():
            point = denoiser.advance(
                denoiser.begin(a.sqrt() * x0 + (1 - a).sqrt() * eps, step - 1), denoiser.computed
            )
        denoiser.advance(point, plain.forward)
    close(grads, plain.grads)
    close(learner.logits(), [row.detach() for row in plain.rows])


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_checkpointing_gives_the_same_gradients_and_keeps_less(tiny_walk, scale):
    logits, saved = [], []
    for checkpointed in (False, True):
        denoiser, x = tiny_walk(scale=scale)
        learner, sizes = learner_for(denoiser), []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: sizes.append(t.nbytes) or t, lambda t: t
        ):
            sdt.walk(denoiser, x, learner, fast_pair(denoiser.backbone, checkpointed))
        logits.append(learner.logits())
        saved.append(sum(sizes))
    assert torch.equal(*logits) and saved[1] < saved[0]


def test_bf16_keeps_router_and_loss_in_float32(tiny_walk):
    """The gradient is that of float32 up to what the model's rounding does to it."""
    grads = {}
    for precision in (torch.float32, torch.bfloat16):
        denoiser, x = tiny_walk(dtype=torch.float32)
        learner = learner_for(denoiser)
        learner = Learner(learner.logits().float(), tau=TAU, lr=LR, beta=0)
        grads[precision] = record_grads(learner)
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            point = sdt.walk(denoiser, x, learner)
        assert {slot.dtype for slot in point.cache} == {
            precision
        } and point.x.dtype == torch.float32
        assert all(loss.dtype == torch.float32 for loss in learner.data_losses)
    plain, rounded = (torch.cat(grads[p]) for p in (torch.float32, torch.bfloat16))
    assert rounded.dtype == torch.float32 and torch.cosine_similarity(plain, rounded, dim=0) > 0.99
