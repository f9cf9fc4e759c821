"""Schedules that are made: each by its spec, stored, followed by runs, the same if asked again."""

from dataclasses import replace

import pytest
import torch

from harmonica.errors import BadInput
from harmonica.lab import ids
from harmonica.lab.make import make
from harmonica.lab.makings import ScheduleSpec
from harmonica.lab.schedules import schedule_of
from harmonica.lab.specs import RunSpec
from harmonica.lab.store import Store
from harmonica.method.schedule import Schedule
from harmonica.search.settings import Settings

QUICK = Settings(images=4, check_images=4, directions=1, stages=(1.0,), rounds=1, swaps=2)


@pytest.fixture
def spec(smoke_model):
    """-> a function that makes a ScheduleSpec on the smoke model."""

    def make(making="search", **fields):
        fields = {"settings": QUICK, **fields}
        return ScheduleSpec(model=smoke_model, num_steps=4, making=making, **fields)

    return make


def run_of(spec, **fields):
    return RunSpec(
        model=spec.model,
        num_steps=4,
        against=4,
        schedule="made",
        made=spec,
        num_images=32,
        batch=16,
        **fields,
    )


@pytest.mark.parametrize("predict", [False, True])
def test_a_search_is_made_stored_and_followed(spec, tmp_path, predict):
    store, settings = Store(tmp_path), replace(QUICK, predict=predict)
    searched = spec(cur_percent=50, settings=settings)
    run = run_of(searched)
    for artefact in ids.with_needs([run]):
        record = make(artefact, store)
    made = Schedule.load(store.file_path(searched))
    assert made.cur_percent == 50 == record["cost"]["cur_percent"]
    assert bool(made.weights) == predict and made.about["model"] == searched.model.name
    assert make(searched, store)["metrics"]["error_held_back"] > 0
    again = Store(tmp_path / "again")
    make(searched, again)
    assert store.file_path(searched).read_bytes() == again.file_path(searched).read_bytes()
    keep = ["".join(str(int(k)) for k in row) for row in made.keep.tolist()]
    assert record["keep"] == keep and record["metrics"]["x0_mse"] > 0


def test_predictions_of_foras_mask(spec, tmp_path):
    store, fitted = Store(tmp_path), spec("fitted", interval=2)
    make(fitted, store)
    made, natural = schedule_of(run_of(fitted), store, 4)
    assert natural is None and made.keep.tolist() == [[True] * 4, [False] * 4] * 2
    assert len(made.weights) == 8 and all(
        torch.isfinite(own).all() for own in made.weights.values()
    )


@pytest.mark.parametrize("making, fields", [("fitted", {}), ("taylor", {"order": 1})])
def test_predictions_of_another_schedules_mask(spec, tmp_path, making, fields):
    store, reuse = Store(tmp_path), spec(cur_percent=50, settings=replace(QUICK, predict=False))
    own = spec(making, cur_percent=50, mask=reuse, **fields)
    for artefact in ids.with_needs([own]):
        make(artefact, store)
    made, mask = (Schedule.load(store.file_path(one)) for one in (own, reuse))
    assert torch.equal(made.keep, mask.keep) and made.weights and not mask.weights
    assert own.method.startswith("search-") and own.id != spec(making, interval=2, **fields).id


@pytest.mark.parametrize(
    "making, kind", [("search", {"cur_percent": 50}), ("fitted", {"interval": 2})]
)
def test_predictions_are_refitted_to_the_image(spec, tmp_path, making, kind):
    store, fitted = Store(tmp_path), spec(making, **kind)
    own = spec("refitted", mask=fitted, **kind)
    for artefact in ids.with_needs([own]):
        record = make(artefact, store)
    made, mask = (Schedule.load(store.file_path(one)) for one in (own, fitted))
    assert torch.equal(made.keep, mask.keep) and made.weights.keys() == mask.weights.keys()
    assert record["metrics"]["forwards"] == 4 * (5 * 10 * 8 + 3 * 4)
    assert own.method == f"{fitted.method}-refitted"


def test_only_predictions_are_refitted(spec):
    reuse = spec(cur_percent=50, settings=replace(QUICK, predict=False))
    for mask in (None, reuse):
        with pytest.raises(BadInput, match="mask: .* takes a schedule that predicts"):
            spec("refitted", cur_percent=50, mask=mask)
    with pytest.raises(BadInput, match="interval: None .* is needed"):
        spec("refitted", cur_percent=50, mask=spec("fitted", interval=2))


def test_a_search_on_few_classes_is_another_schedule(spec):
    assert spec(cur_percent=50, conds=2).id != spec(cur_percent=50).id
    with pytest.raises(BadInput, match="conds: 2 .* only a search"):
        spec("smoothcache", cur_percent=50, conds=2)


def test_a_schedule_may_come_from_elsewhere_if_the_run_says_so(spec):
    searched = spec(cur_percent=50)
    other = replace(searched, model=replace(searched.model, sha256="1" * 64), guidance=2.0)
    assert run_of(searched).id != replace(run_of(searched), made=other, transferred=True).id
    with pytest.raises(BadInput, match="made's model"):
        replace(run_of(searched), made=other)
    with pytest.raises(BadInput, match="transferred: .* made for this very model"):
        run_of(searched, transferred=True)


def test_a_budget_of_multiply_accumulates(spec, tmp_path):
    """Feed-forwards cost more than attention: fewer entries may save as much."""
    store, searched = Store(tmp_path), spec(cur_percent=50, by_macs=True)
    for artefact in ids.with_needs([run_of(searched)]):
        record = make(artefact, store)
    assert record["cost"]["speedup_theoretical"] > 1.5 and searched.id != spec(cur_percent=50).id


def test_a_schedule_of_another_model_is_refused(spec, tmp_path):
    store, searched = Store(tmp_path), spec(cur_percent=50)
    make(searched, store)
    made = Schedule.load(store.file_path(searched))
    other = replace(made, about={**made.about, "model_sha256": "0"})
    other.save(store.file_path(searched))
    with pytest.raises(BadInput, match="schedule: .* was made for model .* other weights"):
        schedule_of(run_of(searched), store, 4)


def test_a_schedule_of_one_step_is_refused_as_nothing_can_be_skipped(spec):
    with pytest.raises(BadInput, match="num_steps: 1 is not possible; it must be at least 2"):
        replace(spec("fitted", interval=2), num_steps=1)


@pytest.mark.parametrize(
    "making, fields, words",
    [
        ("guess", {}, "making: 'guess'"),
        ("search", {}, "cur_percent: None"),
        ("search", {"cur_percent": 90}, "cur_percent: 90"),
        ("fitted", {}, "interval: None"),
        ("taylor", {"interval": 2}, "order: None"),
        ("evolution", {"cur_percent": 50}, "forwards: None"),
        ("search", {"cur_percent": 50, "interval": 3}, "interval: 3"),
        ("search", {"cur_percent": 50, "mask": "any"}, "mask: 'any'"),
    ],
)
def test_what_cannot_be_made_is_refused(spec, making, fields, words):
    with pytest.raises(BadInput, match=words):
        spec(making, **fields)
