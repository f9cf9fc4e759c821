"""Images to features: the judge in batches, Inception's wiring on random weights, and
what both refuse.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from harmonica.digits import data, judge
from harmonica.errors import BadInput
from harmonica.method.precision import float32_products
from harmonica.metrics import features, scores


@pytest.fixture(scope="module")
def digits():
    return data.to_uint8(data.load("test")[0])


@pytest.fixture(scope="module")
def extractor():
    return judge.load()


def test_extract_is_the_network_in_float64(digits, extractor):
    found = features.extract(digits, extractor)
    plain = judge.load()(torch.from_numpy(digits))
    assert list(found) == list(features.LAYERS)
    for layer, values in found.items():
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, plain[layer].numpy(), atol=1e-5)


def test_extract_does_not_depend_on_batch(digits, extractor):
    whole, sevens = (features.extract(digits[:100], extractor, batch=batch) for batch in (1000, 7))
    for layer in features.LAYERS:
        np.testing.assert_allclose(sevens[layer], whole[layer], atol=1e-5)


def test_extract_prints_nothing_and_leaves_images_alone(digits, extractor, capfd):
    images = digits[:8].copy()
    images.flags.writeable = False
    features.extract(images, extractor)
    assert np.array_equal(images, digits[:8])
    assert capfd.readouterr() == ("", "")


def test_scores_worsen_with_noise(digits, extractor):
    reference = features.extract(data.to_uint8(data.load("train")[0]), extractor)
    noise = np.random.default_rng(0).standard_normal(digits.shape)
    found = []
    for sigma in (0, 48, 96):
        noisy = features.extract(
            np.clip(np.round(digits + sigma * noise), 0, 255).astype(np.uint8), extractor
        )
        found.append(scores.scores(noisy, reference))
    for name in ("FID", "sFID"):
        assert found[0][name] < found[1][name] < found[2][name], name
    for name in ("IS", "precision"):
        assert found[0][name] > found[1][name] > found[2][name], name


@pytest.mark.parametrize(
    "images", [np.zeros((2, 1, 8, 8), np.float32), np.zeros((2, 8, 8), np.uint8)]
)
def test_other_images_are_refused(images, extractor):
    with pytest.raises(ValueError, match="uint8 of shape"):
        features.extract(images, extractor)


def test_inception_layers_are_those_of_adm(random_inception):
    images = np.random.default_rng(0).integers(256, size=(2, 3, 32, 32), dtype=np.uint8)
    blocks, inception = [], random_inception.inception
    hook = inception.Mixed_6d.register_forward_hook(lambda module, inputs, out: blocks.append(out))
    found = features.extract(images, random_inception)
    hook.remove()
    assert {layer: values.shape for layer, values in found.items()} == {
        "pool": (2, 2048),
        "spatial": (2, 17 * 17 * 7),
        "logits": (2, 1008),
    }
    spatial = (
        blocks[0].numpy()[:, :7].transpose(0, 2, 3, 1)
    )  # the block's first channels are those of branch1x1
    assert np.ptp(spatial) > 0
    np.testing.assert_array_equal(found["spatial"], spatial.reshape(2, -1))
    unbiased = found["pool"] @ inception.fc.weight.double().numpy().T
    np.testing.assert_allclose(found["logits"], unbiased, atol=1e-3 * np.abs(unbiased).max())
    assert not inception.Mixed_6d.branch1x1._forward_hooks


def test_a_weights_file_with_code_in_it_is_not_run(tmp_path):
    class Code:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"a": Code()}, tmp_path / "weights.pth")
    with pytest.raises(BadInput, match="no state dict"):
        features.inception(tmp_path / "weights.pth")
    assert not (tmp_path / "executed").exists()


def test_whole_float32_is_for_the_features_alone():
    settings = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [setting.fp32_precision for setting in settings]
    with float32_products("ieee"):
        assert [setting.fp32_precision for setting in settings] == ["ieee", "ieee"]
    assert [setting.fp32_precision for setting in settings] == before
