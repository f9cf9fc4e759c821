"""Learning-to-Cache: which steps it trains, and what its released form can reach at most."""

from dataclasses import replace

import pytest
import torch

from harmonica.method import ltc, masks
from harmonica.method.denoise import Point
from harmonica.method.router import Router
from harmonica.samplers.singlestep import Singlestep


@pytest.mark.parametrize("num_steps", range(2, 12))
def test_the_released_form_trains_the_last_step_and_every_second_before_it(num_steps):
    released, all_pairs = (
        ltc.trained_steps(num_steps, form, 1) for form in ("released", "all-pairs")
    )
    assert all_pairs == list(range(1, num_steps))
    assert released == [step for step in all_pairs if (num_steps - 1 - step) % 2 == 0]
    assert len(released) == num_steps // 2


@pytest.mark.parametrize("num_steps", [4, 6, 10, 20, 50])
def test_the_released_form_with_every_trained_entry_reused_is_fora_at_interval_2(num_steps):
    """So at CUR 50 % there is nothing to learn: the table's row there is the all-pairs form."""
    logits = torch.full((num_steps, 6), 5.0)
    logits[ltc.trained_steps(num_steps, "released", 1)] = -5.0
    router, fora = Router(logits=logits), masks.fora(num_steps, 6)
    assert torch.equal(router.keep(), fora) and torch.equal(router.keep(50), fora)
    assert masks.cur_percent(fora) == 50


@pytest.mark.parametrize("num_steps", [5, 7, 11])
def test_at_odd_t_the_released_form_reaches_less_than_half(num_steps):
    assert len(ltc.trained_steps(num_steps, "released", 1)) / num_steps < 0.5


@pytest.mark.parametrize("num_steps", [4, 10, 20])
def test_where_two_calls_make_an_update_the_released_form_trains_the_first_of_each(num_steps):
    """As the released code for U-ViT does: the first update computes everything, and so does the
    second call of every one.
    """
    assert ltc.trained_steps(num_steps, "released", 2) == list(range(2, num_steps, 2))
    assert ltc.trained_steps(num_steps, "all-pairs", 2) == list(range(1, num_steps))


def test_an_update_is_begun_where_the_samplers_is():
    """Noised to where an update begins, computed up to the step, the student at the step alone."""
    seen = []

    class Walk:
        sampler, timesteps, computed = Singlestep(), Singlestep().timesteps(6), None

        def begin(self, x, step):
            seen.append(("begin", step))
            return Point(step, x, None, [])

        def advance(self, point, forward):
            seen.append((forward and "learn", point.step))
            return replace(point, step=point.step + 1)

    images = torch.zeros(1, 1, 8, 8)
    for step in (1, 2, 5):
        seen.clear()
        walk = Walk()
        walk.backbone = None
        ltc.update_pair(walk, images, images, step, None, pair=lambda *a: None)
        begun = 2 * ((step - 1) // 2)
        expected = [(None, k) for k in range(begun, step)]
        assert seen == [("begin", begun), *expected, ("learn", step)]
