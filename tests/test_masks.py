"""Masks: the first row always computes, budgets are met exactly, order is by score."""

import pytest
import torch

from harmonica.errors import BadInput
from harmonica.method import masks

SIZES = [(2, 1), (4, 4), (5, 12), (6, 16), (10, 16), (20, 56), (50, 84)]
CURS = (0, 1, 12.5, 22.14, 25, 33.3, 37.5, 49.9, 50)


@pytest.mark.parametrize("num_steps, num_blocks", SIZES)
@pytest.mark.parametrize("cur", CURS)
def test_every_budget_is_met_exactly_and_never_in_the_first_row(num_steps, num_blocks, cur):
    reused = masks.budget(cur, num_steps, num_blocks)
    assert reused == round(cur * num_steps * num_blocks / 100)
    scores = torch.rand(num_steps, num_blocks, generator=torch.Generator().manual_seed(0))
    scores[0] = 0
    for keep in (
        masks.lowest(scores, reused),
        masks.random(num_steps, num_blocks, reused, seed=0),
    ):
        assert keep.shape == (num_steps, num_blocks) and keep.dtype == torch.bool
        assert int((~keep).sum()) == reused and keep[0].all()
        assert masks.cur_percent(keep) == pytest.approx(100 * reused / keep.numel())


def test_faster_diffusion_reuses_what_goes_in_and_deepcache_all_but_the_ends():
    """On a U-ViT with 4 blocks in, a middle one and 4 out, of attention and feed-forward each."""
    fora = masks.fora(12, 18)
    faster, deep = (make(12, 18) for make in (masks.faster_diffusion, masks.deepcache))
    between = ~fora[:, 0]
    assert faster[~between].all() and deep[~between].all()
    assert (faster[between] == torch.tensor([False] * 10 + [True] * 8)).all()
    assert (deep[between] == torch.tensor([True] * 2 + [False] * 14 + [True] * 2)).all()


@pytest.mark.parametrize("num_blocks", [2, 4, 16, 56, 57])
def test_other_models_than_u_vits_have_no_such_masks(num_blocks):
    with pytest.raises(BadInput, match="need a U-ViT: blocks in, a middle one, as many out"):
        masks.deepcache(10, num_blocks)


def test_the_most_that_can_be_reused():
    assert masks.budget(90, 10, 16) == 144
    for cur in (90.1, 100, 120, -1):
        with pytest.raises(
            ValueError, match=f"cur: {cur} percent is not possible; with T = 10 it lies in 0..90"
        ):
            masks.budget(cur, 10, 16)


def test_the_lowest_scores_are_reused_and_ties_go_to_the_earlier_entry():
    scores = torch.tensor([[0.0, 0.0, 0.0], [0.9, 0.2, 0.5], [0.2, 0.1, 0.5]])
    assert masks.lowest(scores, 2).tolist() == [
        [True] * 3,
        [True, False, True],
        [True, False, True],
    ]
    for reused in range(6):  # a larger budget contains a smaller one
        less, more = masks.lowest(scores, reused), masks.lowest(scores, reused + 1)
        assert (less | ~more).all()


def test_fora_computes_every_second_step():
    assert masks.fora(5, 2).tolist() == [
        [True] * 2,
        [False] * 2,
        [True] * 2,
        [False] * 2,
        [True] * 2,
    ]
    assert masks.fora(7, 1, interval=3).flatten().tolist() == [
        True,
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert masks.cur_percent(masks.fora(10, 16)) == 50
    for num_steps, interval in ((10, 3), (20, 4), (25, 2), (100, 5)):
        computed = -(-num_steps // interval)
        assert masks.cur_percent(masks.fora(num_steps, 6, interval)) == pytest.approx(
            100 * (1 - computed / num_steps)
        )


def test_random_is_a_function_of_its_seed_and_uniform():
    drawn = [masks.random(6, 8, 20, seed) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    reused = sum((~masks.random(6, 8, 20, seed)).float() for seed in range(400)) / 400
    assert (reused[0] == 0).all() and (reused[1:] - 0.5).abs().max() < 0.15


def test_the_last_step_can_be_reused_whole_at_the_same_count():
    scores = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    keep = masks.lowest_after_last(scores, 9)
    assert int((~keep).sum()) == 9 and not keep[-1].any() and keep[0].all()
    assert torch.equal(keep[:-1], masks.lowest(scores[:-1], 5))
