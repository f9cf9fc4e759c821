"""The policies: computing everything is the plain forward, scores of 0 and 1 are the mask,
old caches stay.
"""

import pytest
import torch

from harmonica.method.cache import compute_all, mix, reuse
from harmonica.method.denoise import run_all


def walk(denoiser, x, forward):
    """x after every step."""
    point, seen = denoiser.begin(x), []
    with torch.no_grad():
        while point.step < len(denoiser.timesteps):
            point = denoiser.advance(point, forward)
            seen.append(point.x)
    return torch.stack(seen)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_computed_is_the_plain_forward_bit_for_bit(tiny_walk, tied, scale, dtype):
    denoiser, x = tiny_walk(scale=scale, tied=tied, dtype=dtype)
    backbone = denoiser.backbone
    point = denoiser.begin(x)
    for forward in (denoiser.computed, denoiser.hard(torch.ones(5, 4, dtype=torch.bool))):
        with torch.no_grad():
            batch = x.repeat(denoiser.copies, 1, 1, 1)
            t = torch.full((len(batch),), denoiser.timesteps[0])
            out, cache = forward(0, batch, point.cache)
            plain = run_all(backbone, batch, t, denoiser.ctx)
        assert torch.equal(
            out[:, denoiser.backbone.guided_channels :],
            plain[:, denoiser.backbone.guided_channels :],
        )
        assert scale != 1.0 or torch.equal(out, plain)
        assert all(slot is not None for slot in cache)


def test_the_first_step_is_computed_whatever_the_scores(tiny_walk):
    """An empty slot counts as o = f and is filled with f."""
    denoiser, x = tiny_walk()
    with torch.no_grad():
        start = denoiser.begin(x)
        plain = denoiser.advance(start, denoiser.computed)
        for scores in (torch.zeros(5, 4), torch.full((5, 4), 0.05), torch.rand(5, 4)):
            mixed = denoiser.advance(start, denoiser.soft(scores.double(), 0.1))
            assert torch.equal(mixed.x, plain.x) and all(map(torch.equal, mixed.cache, plain.cache))


def test_scores_of_one_compute_everything_exactly(tiny_walk):
    denoiser, x = tiny_walk()
    assert torch.equal(
        walk(denoiser, x, denoiser.soft(torch.ones(5, 4, dtype=torch.float64), 0.1)),
        walk(denoiser, x, denoiser.computed),
    )


@pytest.mark.parametrize("seed", range(4))
def test_scores_of_zero_and_one_are_the_hard_mask_exactly(tiny_walk, tiny_scores, seed):
    denoiser, x = tiny_walk()
    keep = tiny_scores(seed=seed) > 0.1
    assert (~keep).any()
    hard = walk(denoiser, x, denoiser.hard(keep))
    assert torch.equal(walk(denoiser, x, denoiser.soft(keep.double(), 0.1)), hard)
    assert not torch.equal(hard, walk(denoiser, x, denoiser.computed))


def doubling(count, at):
    """Blocks without conditioning or gate, so that the arithmetic can be read off: h + at(2 h)."""
    h = torch.tensor(1.0)
    for i in range(count):
        h = h + at(i, lambda h=h: 2 * h)
    return h


def test_reuse_by_hand():
    cache = [torch.tensor(10.0), torch.tensor(20.0)]
    at, new = reuse([True, False], cache)
    assert doubling(2, at) == 1 + 2 + 20 and new == [2, 20] and cache == [10, 20]


def test_mix_by_hand():
    """o = r f + (1 - r) slot; the detached mix is written where told, and into an empty slot, f
    itself.
    """
    r = torch.tensor([0.75, 0.25, 0.5], requires_grad=True)
    cache = [torch.tensor(10.0), torch.tensor(20.0), None]
    at, new = mix(r, [True, False, False], cache)
    h = doubling(3, at)
    first = 0.75 * 2 + 0.25 * 10
    second = 0.25 * 2 * (1 + first) + 0.75 * 20
    third = 2 * (1 + first + second)
    assert h == 1 + first + second + third and new == [first, 20, third]
    assert not any(slot.requires_grad for slot in new) and h.requires_grad
    assert cache == [10, 20, None]


def test_a_mix_that_is_asked_twice_answers_the_same():
    """As a checkpointed block asks: once forward, once more for the backward pass."""
    scores = torch.tensor([0.25, 0.75], requires_grad=True)
    old = [(torch.tensor([4.0]), None), [torch.tensor([8.0])]]
    at, cache = mix(scores, [True, False], old)
    new = (torch.tensor([0.0]), None), [torch.tensor([0.0])]
    for _ in range(2):
        pair, single = (at(i, lambda i=i: new[i]) for i in range(2))
        assert pair[0].item() == 3 and pair[1] is None and single[0].item() == 2
        assert cache[0][0].item() == 3 and not cache[0][0].requires_grad
        assert cache[1] is old[1]


def test_a_walk_forks_at_any_point(tiny_walk, tiny_scores):
    """Nothing of a Point changes while other walks start from it."""
    denoiser, x = tiny_walk()
    on = denoiser.soft(tiny_scores(), 0.1)
    with torch.no_grad():
        point = denoiser.begin(x)
        while point.step < 5:
            slots, copies, before = (
                list(point.cache),
                [s if s is None else s.clone() for s in point.cache],
                point.x.clone(),
            )
            ends = [denoiser.walk(point, forward).x for forward in (on, denoiser.computed, on)]
            assert torch.equal(ends[0], ends[2])
            assert point.step == 4 or not torch.equal(ends[0], ends[1])
            assert all(a is b for a, b in zip(slots, point.cache)) and torch.equal(before, point.x)
            assert all(a is None or torch.equal(a, b) for a, b in zip(copies, point.cache))
            point = denoiser.advance(point, on)


class LongSkips:
    """Two blocks in, one in the middle, two out: each out block first adds what an in block left,
    always, as U-ViT does. No policy knows of it.
    """

    num_blocks = 5

    def start(self, x, t, ctx):
        return x, t[0] / 1000

    def through(self, h, c, at):
        skips = []
        for i in range(5):
            if i > 2:
                h = h + 0.1 * skips.pop()
            h = h + at(i, lambda h=h, i=i: torch.sin(h + c + i))
            if i < 2:
                skips.append(h)
        return h


class Pairs:
    """Blocks on two streams, image and text, as in SD3: a feature is a pair of tensors."""

    num_blocks = 3

    def start(self, x, t, ctx):
        return (x, x.mean(1, keepdim=True)), t[0] / 1000

    def through(self, h, c, at):
        image, text = h
        for i in range(3):
            new = at(i, lambda a=image, b=text, i=i: (torch.sin(a + b.sum() + i), torch.cos(b + c)))
            image, text = image + new[0], text + new[1]
        return image


@pytest.mark.parametrize("backbone", [LongSkips(), Pairs()], ids=["long skips", "pairs"])
def test_policies_know_nothing_of_a_backbones_shape(backbone):
    """Kept is plain, reuse is what was kept before, scores of 1 are plain, and r has a gradient."""
    x, count = torch.randn(2, 6, dtype=torch.float64), backbone.num_blocks

    def run(t, at):
        return backbone.through(*backbone.start(x, torch.full((2,), t), None), at)

    at, cache = reuse([True] * count, [None] * count)
    assert torch.equal(run(900, at), run(900, compute_all))
    at, kept = reuse([True] * (count - 1) + [False], cache)
    out = run(500, at)
    assert kept[-1] is cache[-1] and not torch.equal(out, run(500, compute_all))
    r = torch.ones(count, dtype=torch.float64, requires_grad=True)
    at, mixed = mix(r, [True] * count, cache)
    torch.testing.assert_close(run(500, at), run(500, compute_all), rtol=0, atol=1e-15)
    at, mixed = mix(r, [True] * count, cache)
    (slope,) = torch.autograd.grad(run(500, at).square().sum(), r)
    assert (slope != 0).all() and len(mixed) == count
