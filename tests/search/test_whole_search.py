"""The whole search: exact budgets, never worse than FORA, the same again, also after a kill."""

from itertools import combinations

import numpy as np
import pytest
import torch

from harmonica.errors import BadInput
from harmonica.method import masks
from harmonica.method.schedule import Schedule
from harmonica.search.measure import CHECK
from harmonica.search.search import Search
from harmonica.search.settings import STARTS, Settings
from harmonica.search.walks import follow, uncached

SMALL = {"images": 6, "check_images": 6, "window": 3, "rounds": 2, "directions": 2}


def searched(walk, targets, *, state_path=None, costs=None, **settings):
    search = Search(
        walk, targets, Settings(**{**SMALL, **settings}), costs=costs, state_path=state_path
    )
    return search, search.run()


def assert_same(one, other):
    assert torch.equal(one.keep, other.keep) and one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[entry], other.weights[entry]) for entry in one.weights)


@pytest.mark.parametrize("predict", [False, True])
def test_budgets_are_met_and_no_result_is_worse_than_fora_on_the_check_noise(walk_of, predict):
    search, found = searched(walk_of(num_steps=6), [8, 12], predict=predict)
    for target, schedule in found.items():
        assert int((~schedule.keep).sum()) == target and schedule.keep[0].all()
        assert bool(schedule.weights) == predict
    fora = search.measure.schedule(masks.fora(6, 4).numpy())
    assert search.measure.error(found[12], CHECK) <= search.measure.error(fora, CHECK)


def test_a_search_for_predictions_also_starts_from_one_for_reuse(walk_of):
    """And ends no worse than the start that is best on the check noise."""
    walk = walk_of(num_steps=6)
    search, found = searched(walk, [12])
    begun, _ = searched(walk, [12], rounds=0)
    starts = {name: begun.measure.schedule(begun.state.masks[f"12 {name}"]) for name in STARTS}
    assert all(int((~start.keep).sum()) == 12 for start in starts.values())
    assert search.measure.error(found[12]) <= min(
        search.measure.error(start) for start in starts.values()
    )
    reused, _ = searched(walk, [12], predict=False, rounds=0)
    grown, reuse = reused.state.masks["12 grown"], begun.state.masks["12 reuse"]
    assert np.array_equal(grown, reuse) and "12 reuse" not in reused.state.masks


@pytest.mark.parametrize("window, target, widened", [(2, 16, 2), (2, 17, 5), (1, 12, 1)])
def test_the_window_widens_until_the_budget_can_be_saved(walk_of, window, target, widened):
    search, found = searched(walk_of(num_steps=6), [target], window=window, rounds=0)
    assert search.settings.window == widened
    assert int((~found[target].keep).sum()) == target


def test_the_same_seed_gives_the_same_schedule_and_another_one_another_noise(walk_of):
    walk = walk_of(num_steps=6)
    (search, one), (_, again) = (searched(walk, [12]) for _ in range(2))
    assert_same(one[12], again[12])
    other, _ = searched(walk, [12], seed=1)
    assert other.measure.noise(0) != search.measure.noise(0)


class Killed(Exception):
    pass


@pytest.mark.parametrize("done", [1, 3, 5, 8, 11, 14])
def test_a_killed_search_goes_on_from_its_last_stage_to_the_same_bits(walk_of, tmp_path, done):
    """And counts the forwards of an uninterrupted one, though some results are computed again."""
    walk, path = walk_of(num_steps=6), tmp_path / "state"
    straight, found = searched(walk, [8, 12])

    def tell(what, error=None):
        if killed.state.values["done"] == done:
            raise Killed

    killed = Search(walk, [8, 12], Settings(**SMALL), state_path=path)
    killed.measure.tell = tell
    with pytest.raises(Killed):
        killed.run()
    resumed, again = searched(walk, [8, 12], state_path=path)
    assert killed.state.values["done"] == done
    assert resumed.state.values == straight.state.values
    for target in found:
        assert_same(again[target], found[target])
    assert [file.name for file in tmp_path.iterdir()] == ["state"]


def test_a_state_that_is_damaged_or_anothers_is_refused(walk_of, tmp_path):
    walk, path = walk_of(num_steps=4), tmp_path / "state"
    searched(walk, [6], state_path=path, rounds=0)
    with pytest.raises(BadInput, match="another search"):
        searched(walk, [7], state_path=path, rounds=0)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadInput, match="not a whole state"):
        searched(walk, [6], state_path=path, rounds=0)


def test_a_budget_in_operations_is_kept(walk_of):
    costs = [3, 7, 3, 7]
    _, found = searched(walk_of(num_steps=6), [50], costs=costs)
    saved = int((~found[50].keep * torch.tensor(costs)).sum())
    assert 50 <= saved < 50 + 3


def test_batches_do_not_change_what_is_found_but_by_rounding(walk_of):
    walk = walk_of(num_steps=6)
    _, whole = searched(walk, [12], predict=False)
    _, parts = searched(walk, [12], predict=False, batch=3)
    assert torch.equal(whole[12].keep, parts[12].keep)


def test_it_says_beforehand_what_it_takes_at_most(walk_of):
    from types import SimpleNamespace

    counted = []
    bar = SimpleNamespace(
        update=counted.append,
        set_description=lambda what, refresh: None,
        set_postfix=lambda **values: None,
    )
    search = Search(walk_of(num_steps=6), [12], Settings(**SMALL), bar=bar)
    search.run()
    assert 0 < sum(counted) == search.state.values["forwards"] <= bar.total == search.forwards()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"images": 0}, "images: 0"),
        ({"batch": 5}, "batch: 5"),
        ({"stages": (0.5, 0.4, 1.0)}, "stages"),
        ({"stages": (0.5,)}, "stages"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        Settings(**settings)


def test_among_all_924_schedules_of_four_steps_it_finds_one_of_the_best_hundredth(walk_of):
    walk = walk_of(num_steps=4)
    search, found = searched(walk, [6], predict=False, rounds=4, images=12, check_images=12)
    seed, indices = search.measure.noise(CHECK), range(12)
    exact, errors = walk(uncached, seed, indices), []
    for chosen in combinations(range(12), 6):
        keep = np.ones((4, 4), bool)
        keep[1:].ravel()[list(chosen)] = False
        x = walk(follow(Schedule(keep=torch.from_numpy(keep))), seed, indices)
        errors.append(float((x - exact).square().mean()))
    own = search.measure.error(found[6], CHECK)
    assert np.mean(np.array(errors) < own * (1 - 1e-9)) < 0.01
