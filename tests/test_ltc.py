"""Learning-to-Cache: which steps it trains, and what its released form can reach at most."""

import pytest
import torch

from harmonica.method import ltc, schedules
from harmonica.method.router import Router


@pytest.mark.parametrize("num_steps", range(2, 12))
def test_the_released_form_trains_the_last_step_and_every_second_before_it(num_steps):
    released, all_pairs = (ltc.trained_steps(num_steps, form) for form in ("released", "all-pairs"))
    assert all_pairs == list(range(1, num_steps))
    assert released == [step for step in all_pairs if (num_steps - 1 - step) % 2 == 0]
    assert len(released) == num_steps // 2


@pytest.mark.parametrize("num_steps", [4, 6, 10, 20, 50])
def test_the_released_form_with_every_trained_entry_reused_is_fora_at_interval_2(num_steps):
    """So at CUR 50 % there is nothing to learn: the table's row there is the all-pairs form."""
    logits = torch.full((num_steps, 6), 5.0)
    logits[ltc.trained_steps(num_steps, "released")] = -5.0
    router, fora = Router(logits=logits), schedules.fora(num_steps, 6)
    assert torch.equal(router.keep(), fora) and torch.equal(router.keep(50), fora)
    assert schedules.cur_percent(fora) == 50


@pytest.mark.parametrize("num_steps", [5, 7, 11])
def test_at_odd_t_the_released_form_reaches_less_than_half(num_steps):
    assert len(ltc.trained_steps(num_steps, "released")) / num_steps < 0.5


def test_an_unknown_form_is_named():
    with pytest.raises(ValueError, match="ltc form: 'every' is not known"):
        ltc.trained_steps(10, "every")
