"""Router training: a resumed one ends in the same bits, a seed fixes everything, a wanted CUR is
reached.
"""

from collections import Counter
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from harmonica.digits.manifest import manifest
from harmonica.errors import BadInput
from harmonica.fast.training import fast_pair
from harmonica.lab.makings import ModelSpec, RouterSpec
from harmonica.lab.models import load_model
from harmonica.method import iepo, ltc, masks, seeds
from harmonica.method.learner import Learner, restore, save
from harmonica.method.settings import LAMBDA_DISTANCES, RouterTraining
from harmonica.method.train import Work, initial_logits, train

MODEL = ModelSpec(name="tiny", sha256="0" * 64, scale="smoke")
IEPO = {"lambda_scores": "soft", "refresh": 2, "lambda_batch": 3}
METHODS = {
    "SDT, MSE": {"walk": "sdt", "objective": "mse"},
    "HarmoniCa": {"walk": "sdt", "objective": "leave-one-out", **IEPO},
    "the final image": {"walk": "direct", "objective": "mse"},
    "HarmoniCa, hard scores": {
        "walk": "sdt",
        "objective": "leave-one-out",
        **IEPO,
        "lambda_scores": "hard",
    },
    "HarmoniCa, released lambda": {"walk": "sdt", "objective": "cumulative", **IEPO},
    "Learning-to-Cache": {"walk": "ltc", "ltc_form": "released", "objective": "mse"},
    "Learning-to-Cache, all pairs": {"walk": "ltc", "ltc_form": "all-pairs", "objective": "mse"},
    "Learning-to-Cache, as its authors": {
        "walk": "ltc",
        "ltc_form": "released",
        "objective": "mse",
        "label_dropout": 0.5,
        "drawn_steps": 2,
    },
    "Learning-to-Cache, IEPO": {
        "walk": "ltc",
        "ltc_form": "all-pairs",
        "objective": "leave-one-out",
        **IEPO,
    },
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def spec(method, *, num_steps=4, guidance=1.0, **changes):
    training = {
        "trajectories": 6,
        "batch": 2,
        "lr": 0.1,
        "adam_eps": 1e-12,
        "tau": 0.1,
        "cur_percent": 50,
    }
    training |= method | changes
    return RouterSpec(
        model=MODEL, num_steps=num_steps, guidance=guidance, training=RouterTraining(**training)
    )


@every_method
@pytest.mark.parametrize("killed_at", [3, 5])
def test_resuming_gives_the_same_bits(tiny_model, killed_after, tmp_path, method, killed_at):
    """Killed at 3 or 5 of 6 trajectories, both times with the state of 3 on disk."""
    straight, log = train(tiny_model, spec(method), tmp_path / "none", save_every=100)
    state = tmp_path / "state.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, spec(method), state, save_every=3, progress=killed_after(killed_at))
    resumed, resumed_log = train(tiny_model, spec(method), state, save_every=3)
    assert torch.equal(straight, resumed) and log == resumed_log and len(log) == 6


def test_the_state_of_another_router_is_refused(tmp_path):
    save(tmp_path / "state", Learner(torch.zeros(3, 4), tau=0.1, lr=0.1), [])
    other = Learner(torch.ones(3, 5), tau=0.1, lr=0.1)
    with pytest.raises(BadInput, match="state: .* holds other tensors than this training"):
        restore(tmp_path / "state", other)
    assert torch.equal(other.logits(), torch.ones(3, 5))


def test_a_router_is_a_function_of_config_and_seed(tiny_model, tmp_path):
    method = METHODS["HarmoniCa"]
    logits = [
        train(tiny_model, spec(method, trajectories=2, **changes), tmp_path / "none")[0]
        for changes in ({}, {}, {"seed": 1}, {"batch": 3}, {"lr": 0.2})
    ]
    assert torch.equal(logits[0], logits[1])
    assert not any(torch.equal(logits[0], other) for other in logits[2:])


@pytest.mark.parametrize("spread", [1, 3], ids=["costs within decades", "costs over many decades"])
@pytest.mark.parametrize("wanted", [12.5, 37.5, 50, 60])
def test_steering_finds_the_beta_of_a_wanted_cur(wanted, spread):
    """On errors that are quadratic in 1 - r, each entry and each step with a weight of its own."""
    generator = torch.Generator().manual_seed(0)
    k = 10 ** (spread * torch.randn(6, 8, generator=generator) - 4)
    learner = Learner(initial_logits(6, 8, seed=0), tau=0.1, lr=0.1, adam_eps=1e-20)
    learner.lambda_ = 10 ** (spread * torch.randn(6, generator=generator))
    for trajectory in range(100):
        for step in range(1, 6):
            r = learner.scores(step)
            learner.update(step, r, (k[step] * (1 - r) ** 2).sum() / 2)
        learner.steer(wanted, correct=trajectory >= 30)
    assert abs(learner.cur_percent() - wanted) < 100 * 2.5 / 48  # two entries of 48


@pytest.mark.parametrize(
    "method, wanted",
    [("SDT, MSE", 37.5), ("Learning-to-Cache", 37.5), ("Learning-to-Cache, all pairs", 50)],
)
def test_training_reaches_a_wanted_cur(tiny_model, tmp_path, method, wanted):
    setting = spec(
        METHODS[method], num_steps=6, trajectories=100, cur_percent=wanted, adam_eps=1e-20
    )
    logits, log = train(tiny_model, setting, tmp_path / "none", save_every=1000)
    natural = masks.cur_percent(torch.sigmoid(logits) > 0.1)
    assert natural == log[-1]["cur_percent"] and abs(natural - wanted) < 9  # two entries of 24


def test_harmonica_reaches_a_wanted_cur_on_a_trained_model(tmp_path):
    name = "dit-digits-s0"
    loaded = load_model(ModelSpec(name=name, sha256=manifest()[name]["sha256"], scale="digits"))
    setting = spec(METHODS["HarmoniCa"], trajectories=100, refresh=10, cur_percent=50)
    logits, _ = train(loaded, setting, tmp_path / "none", save_every=1000)
    assert abs(masks.cur_percent(torch.sigmoid(logits) > 0.1) - 50) < 8  # five entries of 64


def test_a_given_beta_stays(tiny_model, tmp_path):
    _, log = train(
        tiny_model, spec(METHODS["SDT, MSE"], beta=3e-4, cur_percent=None), tmp_path / "none"
    )
    assert {entry["beta"] for entry in log} == {3e-4}


def test_steps_are_drawn_for_equal_parts_of_the_batch_as_often_as_in_turn(tiny_model):
    method = METHODS["Learning-to-Cache, as its authors"]
    work = Work(tiny_model, spec(method, num_steps=10, batch=6, drawn_steps=3))
    rounds = [list(work.ltc_updates(trajectory)) for trajectory in range(40)]
    turns = ltc.trained_steps(10, "released", 1)
    for updates in rounds:
        images = Counter()
        for (turn, step), own, count in updates:
            assert step == own and own in turns and count in (2, 4, 6)
            images[turn] += count
        assert images == dict.fromkeys(range(len(turns)), 6)
    drawn = Counter(step for updates in rounds for _, step, _ in updates)
    assert set(drawn) == set(turns)
    assert rounds[0] != rounds[1] and rounds[0] == list(work.ltc_updates(0))


def test_dropped_labels_are_null_and_the_others_as_they_were(tiny_model, tiny_prompts):
    method = METHODS["Learning-to-Cache"]
    plain, dropping = (
        Work(tiny_model, spec(method, batch=400, **changes))
        for changes in ({}, {"label_dropout": 0.1})
    )
    images, eps, labels = plain.draw_images(0, (1,), 400)
    own_images, own_eps, own_labels = dropping.draw_images(0, (1,), 400)
    assert torch.equal(images, own_images) and torch.equal(eps, own_eps)
    null = own_labels == tiny_model.backbone.null_label
    assert 20 < null.sum() < 60 and torch.equal(own_labels[~null], labels[~null])
    with pytest.raises(BadInput, match="label_dropout: 0.1 .*labels alone can be dropped"):
        dropping.with_nulls(tiny_prompts(), torch.ones(3, dtype=torch.bool))


def test_lambda_can_be_by_another_distance(tiny_model):
    """One work for all: the same noise. Of a log only the order is that of the squared norm."""
    method, logits = METHODS["HarmoniCa"], initial_logits(4, 4, seed=0)
    seen = replace(tiny_model, features=lambda images: images.flatten(1)[:, :8])
    found = {}
    for name in (None, *LAMBDA_DISTANCES):
        work = Work(seen, spec(method, lambda_distance=name))
        found[name] = work.lambda_(logits, 0)
        assert found[name][0] == 0 and (found[name][1:] > 0).all()
    log = torch.log1p(found[None] / found[None].mean())
    torch.testing.assert_close(found["log"], log)
    assert (found["features"] < found[None])[1:].all()
    with pytest.raises(BadInput, match="no judge is known that sees this model's images"):
        Work(tiny_model, spec(method, lambda_distance="features")).distance()
    with pytest.raises(BadInput, match="lambda_distance: 'absolute' .*other objectives none"):
        spec(METHODS["SDT, MSE"], lambda_distance="absolute")


def test_logits_can_begin_alike_and_beta_can_be_a_multiplier(tiny_model, tmp_path):
    assert initial_logits(4, 4, 0, 2.0)[1:].unique().tolist() == [2.0]
    assert (initial_logits(4, 4, 0, 2.0)[0] == 5).all()
    method = METHODS["SDT, MSE"]
    _, log = train(tiny_model, spec(method, dual=True, initial=2.0), tmp_path / "none")
    betas, curs = ([entry[name] for entry in log] for name in ("beta", "cur_percent"))
    assert curs[0] == 0 and betas == sorted(betas) and betas[1] < betas[-1]
    with pytest.raises(BadInput, match="dual: True .*where beta is steered to a cur_percent"):
        spec(method, dual=True, beta=1e-4, cur_percent=None)


@every_method
def test_one_step_trains_nothing_and_is_refused(tiny_model, method):
    with pytest.raises(BadInput, match="num_steps: 1 is not possible; it must be at least 2"):
        spec(method, num_steps=1)
    alike = SimpleNamespace(**{**vars(spec(method)), "num_steps": 1})  # a spec of no RouterSpec
    with pytest.raises(BadInput, match="num_steps: 1 is not possible; none of these steps learns"):
        Work(tiny_model, alike)


def test_released_learning_to_cache_needs_two_updates_of_a_sampler_with_two_calls(tiny_model):
    method = METHODS["Learning-to-Cache"]
    few = replace(spec(method, num_steps=2), sampler="dpm-singlestep")
    with pytest.raises(BadInput, match="num_steps: 2 is not possible; none of these steps learns"):
        Work(tiny_model, few)
    Work(tiny_model, replace(few, num_steps=4))


@pytest.mark.parametrize(
    "field, value", [("label_dropout", 0.1), ("drawn_steps", 2)], ids=["labels", "steps"]
)
def test_only_learning_to_cache_takes_what_its_authors_do(field, value):
    with pytest.raises(BadInput, match=f"{field}: {value} .*only walk ltc takes it"):
        spec(METHODS["HarmoniCa"], **{field: value})


def test_the_released_form_trains_every_second_row(tiny_model, tmp_path):
    method = METHODS["Learning-to-Cache"]
    for num_steps in (4, 5):
        logits, _ = train(
            tiny_model, spec(method, num_steps=num_steps, cur_percent=30), tmp_path / "none"
        )
        trained = (
            (logits != 5).any(dim=1).nonzero().flatten().tolist()
        )  # the others compute everything
        assert trained == ltc.trained_steps(num_steps, "released", 1)
        keep = masks.lowest(torch.sigmoid(logits), 4 * len(trained))
        assert keep.tolist() == [[step not in trained] * 4 for step in range(num_steps)]


def test_the_rows_start_from_standard_normals_and_the_first_computes_everything():
    logits = initial_logits(50, 100, seed=0)
    assert (
        (logits[0] == 5).all()
        and abs(float(logits[1:].mean())) < 0.05
        and abs(float(logits[1:].std()) - 1) < 0.05
    )
    assert not torch.equal(logits, initial_logits(50, 100, seed=1))


def test_lambda_is_refreshed_when_due_from_noise_of_its_own(tiny_model, tmp_path):
    _, log = train(tiny_model, spec(METHODS["HarmoniCa"]), tmp_path / "none")
    due = [entry["lambda"] for entry in log]
    assert [value is not None for value in due] == [True, False] * 3
    assert due[0][0] == 0 and all(value > 0 for value in due[0][1:]) and due[0] != due[2]


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_lambda_of_hard_scores_is_that_of_the_mask(tiny_model, guidance):
    """Exactly 0 for rows that reuse nothing; soft scores see every row."""
    logits = torch.full((4, 4), 1.0)
    logits[0], logits[2, 1] = 5, -4
    kinds = {}
    for kind in ("soft", "hard"):
        work = Work(tiny_model, spec(METHODS["HarmoniCa"], guidance=guidance, lambda_scores=kind))
        kinds[kind] = work.lambda_(logits, trajectory=0)
    assert (kinds["hard"] > 0).tolist() == [False, False, True, False]
    assert (kinds["soft"] > 0).tolist() == [False, True, True, True]
    x, cond = work.draw(seeds.LAMBDA, 0, 3)
    expected = iepo.leave_one_out(
        work.denoiser(cond, guidance), x, (torch.sigmoid(logits) > 0.1).float(), 0.1
    )
    assert torch.equal(kinds["hard"], expected)


def test_steering_leaves_out_rows_of_which_lambda_says_nothing_unless_all_are():
    learner = Learner(torch.zeros(3, 2), tau=0.1, lr=0.1)
    learner.lambda_ = torch.tensor([0.0, 0.0, 2.0])
    learner.slopes[1:] = torch.tensor([[7.0, 9.0], [1.0, 1.0]])
    learner.steer(50, correct=False)
    assert learner.beta == pytest.approx(0.9 * 2 * 1 / 0.5)
    learner.lambda_ = torch.zeros(3)
    learner.steer(0, correct=False)
    assert learner.beta == pytest.approx(0.9 * 1 / 0.5)


def test_noise_and_labels_of_a_sample_depend_on_seed_trajectory_and_sample_alone(tiny_model):
    work = Work(tiny_model, spec(METHODS["HarmoniCa"]))
    (x, cond), (more, more_cond) = (
        work.draw(seeds.TRAJECTORY, 3, 2),
        work.draw(seeds.TRAJECTORY, 3, 5),
    )
    assert torch.equal(x, more[:2]) and torch.equal(cond, more_cond[:2])
    assert not torch.equal(x, work.draw(seeds.TRAJECTORY, 4, 2)[0]) and not torch.equal(
        x, work.draw(seeds.LAMBDA, 3, 2)[0]
    )


def test_learning_to_cache_sees_training_images_with_their_own_labels(tiny_model):
    images, labels = tiny_model.images
    x0, eps, cond = Work(tiny_model, spec(METHODS["Learning-to-Cache"], batch=8)).draw_images(
        0, (1,), 8
    )
    for image, label in zip(x0, cond):
        (index,) = (images == image).flatten(1).all(dim=1).nonzero().flatten()
        assert labels[index] == label
    assert eps.shape == x0.shape and not torch.equal(eps, x0)


@pytest.mark.parametrize(
    "recompute, compile, tolerance", [(True, False, 0), (False, True, 1e-4), (True, True, 1e-4)]
)
def test_faster_and_leaner_pairs_train_the_same_router(
    tiny_model, tmp_path, monkeypatch, recompute, compile, tolerance
):
    """Units are compiled as on a GPU, but only traced."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    config = {"trajectories": 2, "adam_eps": 1e-6, "cur_percent": None, "beta": 1e-4}
    router = spec(METHODS["HarmoniCa"], **config)
    pair = fast_pair(tiny_model.backbone, recompute, compile)
    plain, _ = train(tiny_model, router, tmp_path / "plain.safetensors")
    own, _ = train(tiny_model, router, tmp_path / "own.safetensors", pair=pair)
    assert (plain - own).abs().max() <= tolerance
