"""Scores where the right answer is known, and a second opinion from clean-fid."""

import warnings

import numpy as np
import pytest

from harmonica.metrics import scores as s


def gaussian(count, width, seed=0, mean=0.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) + mean


def one_hot(labels, classes):
    return 100 * np.eye(classes)[labels]


def test_frechet_of_a_set_with_itself_is_zero():
    x = gaussian(500, 16)
    assert s.frechet(x, x) == pytest.approx(0, abs=1e-8)


def test_frechet_of_a_shift():
    x = gaussian(500, 16)
    assert s.frechet(x, x + 0.3) == pytest.approx(16 * 0.3**2, abs=1e-8)


def test_frechet_of_a_doubling():
    x = gaussian(500, 16, mean=1.5)
    mu, sigma = s.statistics(x)
    assert s.frechet(x, 2 * x) == pytest.approx(np.trace(sigma) + mu @ mu, rel=1e-9)


def test_frechet_is_symmetric_and_the_same_from_statistics():
    x, y = gaussian(500, 16), gaussian(300, 16, seed=1)
    assert s.frechet(x, y) == pytest.approx(s.frechet(y, x), rel=1e-9)
    single = tuple(
        values.astype(np.float32) for values in s.statistics(y)
    )  # as ADM's reference files may hold them
    assert s.frechet_of_statistics(s.statistics(x), single) == pytest.approx(
        s.frechet(x, y), rel=1e-4
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_clean_fid_agrees_on_fid():
    cleanfid = pytest.importorskip("cleanfid.fid")
    x, y = gaussian(300, 32), gaussian(300, 32, seed=1, mean=0.5)
    assert s.frechet(x, y) == pytest.approx(cleanfid.fid_from_feats(x, y), rel=1e-7)


@pytest.mark.parametrize("classes", [3, 10])
def test_inception_score_of_certain_balanced_labels_is_their_number(classes):
    assert s.inception_score(one_hot(np.arange(60 * classes) % classes, classes)) == pytest.approx(
        classes
    )


def test_inception_score_of_one_answer_is_one():
    assert s.inception_score(np.tile(gaussian(1, 10), (50, 1))) == pytest.approx(1)


def test_inception_score_is_over_blocks_of_5000_in_order():
    labels = np.concatenate([np.arange(5000) % 5, 5 + np.arange(5000) % 5])
    assert s.inception_score(one_hot(labels, 10)) == pytest.approx(5)
    assert s.inception_score(one_hot(labels[1:], 10)) == pytest.approx(10, rel=1e-3)


@pytest.fixture
def two_modes():
    x = gaussian(400, 8)
    x[200:] += 1000
    return x


def test_a_dropped_mode_costs_recall_alone(two_modes):
    assert s.precision_recall(two_modes[:200], two_modes) == (100, 50)


def test_junk_costs_precision_alone(two_modes):
    half_junk = np.concatenate(
        [two_modes, 1e5 * np.random.default_rng(2).standard_normal(two_modes.shape)]
    )
    assert s.precision_recall(half_junk, two_modes) == (50, 100)


def test_precision_recall_does_not_depend_on_its_block(two_modes, monkeypatch):
    other = gaussian(300, 8, seed=3)
    whole = s.precision_recall(other, two_modes)
    monkeypatch.setattr(s, "ROWS_AT_ONCE", 70)
    assert s.precision_recall(other, two_modes) == pytest.approx(whole)


def layers(count, seed):
    widths = {"pool": 16, "spatial": 20, "logits": 10}
    return {layer: gaussian(count, width, seed) for layer, width in widths.items()}


def test_scores_are_the_paper_columns_and_print_nothing(capfd):
    generated, reference = layers(200, 0), layers(150, 1)
    found = s.scores(generated, reference)
    assert list(found) == ["IS", "FID", "sFID", "precision", "recall"]
    assert found["FID"] == s.frechet(generated["pool"], reference["pool"])
    assert found["sFID"] == s.frechet(generated["spatial"], reference["spatial"])
    assert (found["precision"], found["recall"]) == s.precision_recall(
        generated["pool"], reference["pool"]
    )
    assert capfd.readouterr() == ("", "")


def test_statistics_of_the_reference_may_be_given():
    generated, reference = layers(200, 0), layers(150, 1)
    given = {layer: s.statistics(reference[layer]) for layer in ("pool", "spatial")}
    assert s.scores(generated, {"pool": reference["pool"]}, given) == s.scores(generated, reference)


@pytest.mark.parametrize(
    "generated, reference, named", [(20, 21, "generated"), (21, 20, "reference")]
)
def test_too_few_images_for_sfid_are_told(generated, reference, named):
    with pytest.warns(UserWarning, match=f"20 {named} images for a 20-dimensional"):
        s.scores(layers(generated, 0), layers(reference, 1))


def test_enough_images_are_not_warned_about():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s.scores(layers(21, 0), layers(21, 1))
