"""ADM's protocol: its files round-trip, its numbers equal an independent computation, and what does
not fit is refused.
"""

import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy import linalg

from harmonica import weights
from harmonica.errors import BadInput
from harmonica.metrics import adm, features
from harmonica.metrics.images import IMAGES_AT_ONCE, open_images, write_npz


def split(images, size):
    return (images[start : start + size] for start in range(0, len(images), size))


def reference(path, images, extractor, dtype=np.float64, **changed):
    """A reference file by numpy alone, with the statistics of `images` and their mirror images."""
    found = features.extract(np.concatenate([images, images[..., ::-1]]), extractor)
    arrays = {"arr_0": images.transpose(0, 2, 3, 1)}
    for layer, names in adm.STATISTICS.items():
        arrays |= dict(
            zip(names, (found[layer].mean(0).astype(dtype), np.cov(found[layer].T).astype(dtype)))
        )
    np.savez(
        path, **{name: array for name, array in (arrays | changed).items() if array is not None}
    )
    return path


def test_an_npz_round_trips_and_numpy_reads_it_as_adm_does(tmp_path, images):
    made = images(IMAGES_AT_ONCE + 5)
    write_npz(tmp_path / "x.npz", split(made, 10), len(made), extra=np.eye(2))
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["arr_0"], made.transpose(0, 2, 3, 1))
        assert arrays["arr_0"].dtype == np.uint8 and np.array_equal(arrays["extra"], np.eye(2))
    read = open_images(tmp_path / "x.npz")
    assert (read.num_images, read.resolution) == (len(made), 16)
    assert [len(batch) for batch in read.batches()] == [IMAGES_AT_ONCE, 5]
    np.testing.assert_array_equal(np.concatenate(list(read.batches())), made)


def test_the_bytes_of_an_npz_do_not_depend_on_batches_or_time(tmp_path, images):
    made = images(12)
    for name, size in (("a", 12), ("b", 5)):
        write_npz(tmp_path / name, split(made, size), 12)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert zipfile.ZipFile(tmp_path / "a").infolist()[0].date_time[0] == 1980


def test_compressed_files_are_read_too(tmp_path, images):
    np.savez_compressed(
        tmp_path / "x.npz", arr_0=images(7).transpose(0, 2, 3, 1), arr_1=np.arange(7)
    )
    np.testing.assert_array_equal(
        np.concatenate(list(open_images(tmp_path / "x.npz").batches())), images(7)
    )


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    def batches(count):
        return (np.full((10, 3, 64, 64), i % 256, np.uint8) for i in range(count // 10))

    tracemalloc.start()
    write_npz(tmp_path / "x.npz", batches(1000), 1000)
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    assert sum(len(batch) for batch in open_images(tmp_path / "x.npz").batches()) == 1000
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole = 1000 * 3 * 64 * 64
    assert written < whole / 10 and read < 3 * IMAGES_AT_ONCE * 3 * 64 * 64 < whole / 4


@pytest.mark.parametrize(
    "count, words", [(11, "there are at least 12"), (13, "there are 12"), (0, "at least 1")]
)
def test_a_wrong_number_of_images_writes_nothing(tmp_path, images, count, words):
    (tmp_path / "x.npz").write_text("was there")
    with pytest.raises(BadInput, match=f"num_images: {count} .*{words}"):
        write_npz(tmp_path / "x.npz", split(images(12), 4), count)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["was there"]


@pytest.mark.parametrize(
    "shape, dtype", [((1, 3, 16, 16), float), ((1, 16, 16, 3), np.uint8), ((1, 3, 8, 8), np.uint8)]
)
def test_other_batches_are_refused(tmp_path, images, shape, dtype):
    with pytest.raises(BadInput, match=r"uint8 \(n, 3, 16, 16\) is expected"):
        write_npz(tmp_path / "x.npz", [images(4), np.zeros(shape, dtype)], 5)
    assert not list(tmp_path.iterdir())


def by_hand(generated, real, statistics):
    """IS, FID, sFID, precision, recall from their definitions, by scipy's matrix square root."""
    p = np.exp(generated["logits"]) / np.exp(generated["logits"]).sum(1, keepdims=True)
    found = {"IS": np.exp((p * np.log(p / p.mean(0))).sum(1).mean())}
    for name, layer in (("FID", "pool"), ("sFID", "spatial")):
        mu, sigma = (value.astype(np.float64) for value in statistics[layer])
        own = np.cov(generated[layer].T)
        found[name] = np.square(generated[layer].mean(0) - mu).sum() + np.trace(
            own + sigma - 2 * linalg.sqrtm(own @ sigma).real
        )

    def covered(points, manifold):
        apart = np.sqrt(np.square(manifold[:, None] - manifold).sum(-1))
        radii = np.sort(apart, axis=1)[:, 3]  # the point itself is number 0
        return 100 * np.mean(
            [(np.sqrt(np.square(manifold - point).sum(-1)) <= radii).any() for point in points]
        )

    generated, real = generated["pool"], real["pool"]
    return found | {"precision": covered(generated, real), "recall": covered(real, generated)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_numbers_equal_an_independent_computation(tmp_path, images, few_features, dtype):
    made, real = images(90, seed=1), images(40, seed=2)
    path = reference(tmp_path / "y.npz", real, few_features, dtype)
    found = adm.evaluate_images(split(made, 32), path, inception=few_features, num_images=90)
    with np.load(path) as arrays:
        assert arrays["sigma_s"].dtype == dtype
        statistics = {
            layer: (arrays[mu], arrays[sigma]) for layer, (mu, sigma) in adm.STATISTICS.items()
        }
    right = by_hand(
        features.extract(made, few_features), features.extract(real, few_features), statistics
    )
    assert list(found)[:5] == ["IS", "FID", "sFID", "precision", "recall"]
    for name, value in right.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name
    assert (
        0 < right["precision"] < 100
        and 0 < right["recall"] < 100
        and right["precision"] != right["recall"]
    )
    assert right["FID"] > 0.1 and right["sFID"] > 0.1 and right["IS"] > 1.1
    assert (
        found["num_images"] == 90 and found["reference_images"] == 40 and found["resolution"] == 16
    )
    assert found["inception_sha256"] == "few" and found["reference_sha256"] == weights.sha256(path)


def test_the_numbers_do_not_depend_on_batches(tmp_path, images, few_features):
    path = reference(tmp_path / "y.npz", images(40), few_features)
    found = [
        adm.evaluate_images(
            split(images(30, seed=1), size), path, inception=few_features, num_images=30
        )
        for size in (1, 7, 30)
    ]
    for name in ("IS", "FID", "sFID", "precision", "recall"):
        assert (
            found[0][name]
            == pytest.approx(found[2][name], rel=1e-5)
            == pytest.approx(found[1][name], rel=1e-5)
        ), name


def test_few_images_are_warned_of(tmp_path, images, few_features):
    path = reference(tmp_path / "y.npz", images(40), few_features)
    with pytest.warns(UserWarning) as told:
        adm.evaluate_images([images(6, seed=1)], path, inception=few_features, num_images=6)
    assert {str(warning.message) for warning in told} == {
        "FID means nothing here: 6 generated images for a 6-dimensional covariance",
        "sFID means nothing here: 6 generated images for a 8-dimensional covariance",
    }


@pytest.mark.parametrize(
    "count, words",
    [
        (29, "num_images: 29 .*at least 30"),
        (31, "num_images: 31 .*there are 30"),
        (3, "num_images: 3 .*at least 4"),
    ],
)
def test_a_wrong_number_of_images_is_refused(tmp_path, images, few_features, count, words):
    path = reference(tmp_path / "y.npz", images(40), few_features)
    with pytest.raises(BadInput, match=words):
        adm.evaluate_images(
            split(images(30, seed=1), 10), path, inception=few_features, num_images=count
        )


def test_images_of_another_resolution_are_refused(tmp_path, images, few_features):
    path = reference(tmp_path / "y.npz", images(40), few_features)
    with pytest.raises(BadInput, match=r"images: 'uint8 \(30, 3, 32, 32\)' .*16, 16"):
        adm.evaluate_images([images(30, side=32)], path, inception=few_features, num_images=30)


def test_a_reference_of_other_features_is_refused(tmp_path, images, few_features):
    path = reference(
        tmp_path / "y.npz", images(40), few_features, mu_s=np.zeros(9), sigma_s=np.eye(9)
    )
    with pytest.raises(BadInput, match="mu_s: 9 .*have 8 values"):
        adm.evaluate_images([images(30)], path, inception=few_features, num_images=30)


WRONG = {
    "arr_0 missing": ({"arr_0": None}, "has no arr_0"),
    "mu missing": ({"mu": None}, "it has no mu; a reference holds"),
    "sigma_s missing": ({"sigma_s": None}, "it has no sigma_s; a reference holds"),
    "half precision": (
        {"mu": np.zeros(6, np.float16)},
        "mu: 'float16 .*float32 or float64",
    ),
    "mu not flat": ({"mu": np.zeros((1, 6))}, r"mu: 'float64 \(1, 6\)'"),
    "sigma not square": (
        {"sigma": np.zeros((6, 5))},
        r"sigma: 'float64 \(6, 5\)' .*\(D, D\)",
    ),
    "widths apart": ({"sigma": np.eye(7)}, r"sigma: \(7, 7\) .*mu has 6"),
    "nan": ({"mu_s": np.full(8, np.nan)}, "mu_s: 'nan or inf'"),
    "floats as images": ({"arr_0": np.zeros((5, 16, 16, 3))}, r"arr_0: 'float64 \(5, 16, 16, 3\)'"),
    "channels first": ({"arr_0": np.zeros((5, 3, 16, 16), np.uint8)}, "channels last"),
    "not square": ({"arr_0": np.zeros((5, 16, 8, 3), np.uint8)}, "square"),
    "too few": (
        {"arr_0": np.zeros((3, 16, 16, 3), np.uint8)},
        "reference: '3 images' .*at least 4",
    ),
    "objects": ({"arr_0": np.array([{}] * 4)}, "arr_0: 'object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_references_are_refused(tmp_path, images, few_features, case):
    changed, words = WRONG[case]
    with pytest.raises(BadInput, match=words) as error:
        adm.read_reference(reference(tmp_path / "y.npz", images(20), few_features, **changed))
    assert "\n" not in str(error.value)


def test_damaged_and_missing_files_are_refused(tmp_path, images, few_features):
    path = reference(tmp_path / "y.npz", images(20), few_features)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="damaged or no .npz file"):
            adm.read_reference(path)
    flipped = bytearray(whole)
    flipped[2000] ^= 255
    path.write_bytes(flipped)
    with pytest.raises(BadInput, match="damaged or no .npz file"):
        list(open_images(path).batches())
    for missing in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(BadInput, match="reference: .*--make-reference"):
            adm.read_reference(missing)


@pytest.fixture
def folder(tmp_path, images):
    """A folder of 30 images, two folders deep."""
    for i, image in enumerate(images(30)):
        path = tmp_path / "folder" / f"class-{i // 20}" / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    return tmp_path / "folder"


def test_a_folder_is_read_in_the_order_of_its_names(folder, images):
    read = open_images(folder)
    assert (read.num_images, read.resolution) == (30, 16)
    np.testing.assert_array_equal(np.concatenate(list(read.batches())), images(30))


def test_other_images_in_a_folder_are_named(folder):
    odd = folder / "class-1" / "025.png"
    for side, words in ((8, "025.png: '8 pixels'"), (None, "025.png cannot be read as an image")):
        Image.new("RGB", (side, side)).save(odd) if side else odd.write_text("text")
        with pytest.raises(BadInput, match=words):
            list(open_images(folder).batches())
    (folder / "empty").mkdir()
    with pytest.raises(BadInput, match="no image in this folder"):
        open_images(folder / "empty")


def test_a_reference_of_our_own_making_is_one(folder, tmp_path, images, few_features, monkeypatch):
    adm.write_reference(tmp_path / "y.npz", open_images(folder), few_features)
    found = adm.evaluate_images(
        [images(30)], tmp_path / "y.npz", inception=few_features, num_images=30
    )
    assert found["FID"] == pytest.approx(0, abs=1e-8) and found["sFID"] == pytest.approx(
        0, abs=1e-8
    )
    assert found["precision"] == found["recall"] == 100
    monkeypatch.setattr(adm, "REFERENCE_IMAGES", 7)
    monkeypatch.setattr(
        "harmonica.metrics.images.IMAGES_AT_ONCE", 2
    )  # of some batches none is kept
    adm.write_reference(tmp_path / "few.npz", open_images(folder), few_features)
    with np.load(tmp_path / "y.npz") as all_, np.load(tmp_path / "few.npz") as few:
        np.testing.assert_array_equal(few["arr_0"], all_["arr_0"][[4, 8, 12, 17, 21, 25, 29]])
        assert all(
            np.array_equal(few[name], all_[name])
            for names in adm.STATISTICS.values()
            for name in names
        )


def test_reference_of_inception_at_its_full_width(tmp_path, images, random_inception):
    write_npz(tmp_path / "x.npz", [images(5, side=32)], 5)
    with pytest.warns(UserWarning, match="5 reference images for a 20(48|23)-dimensional"):
        adm.write_reference(tmp_path / "y.npz", open_images(tmp_path / "x.npz"), random_inception)
    found = adm.read_reference(tmp_path / "y.npz")
    plain = features.extract(images(5, side=32), random_inception)
    assert found.statistics["pool"][1].shape == (2048, 2048) and found.statistics["spatial"][
        1
    ].shape == (2023, 2023)
    for layer, (mu, sigma) in found.statistics.items():
        np.testing.assert_allclose(mu, plain[layer].mean(0), atol=1e-9)
        np.testing.assert_allclose(sigma, np.cov(plain[layer].T), atol=1e-9)
