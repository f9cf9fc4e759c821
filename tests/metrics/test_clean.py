"""clean-fid's features: its own resizing and normalisation, over a network with random weights in
the file's form.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from harmonica.metrics import adm, scores
from harmonica.metrics.features import CleanInception
from harmonica.metrics.images import ImageSet, write_npz

FILE = "inception-2015-12-05.pt"


class Layers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 32, 9, stride=9)

    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(self.conv(x).relu(), 8).flatten(1)


class Inception(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = Layers()

    def forward(self, x):
        return self.layers(x)


@pytest.fixture
def folder(tmp_path):
    """A folder with a TorchScript file of that name and layout."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        torch.jit.script(Inception()).save(tmp_path / FILE)
    return tmp_path


pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning"
)  # of torch.jit


def test_images_are_resized_as_clean_fid_does(folder, images):
    made = images(3, side=400)  # shrinking is where ways of resizing differ
    layers = torch.jit.load(folder / FILE).layers
    shrunk = np.stack(
        [
            Image.fromarray(channel).resize((299, 299), Image.BICUBIC)
            for channel in made.reshape(-1, 400, 400).astype(np.float32)
        ]
    ).reshape(3, 3, 299, 299)
    right = layers(torch.from_numpy((shrunk.clip(0, 255) - 128) / 128)).detach()
    np.testing.assert_allclose(CleanInception(folder)(made), right, atol=1e-5)


def test_clean_fid_is_a_column_of_its_own(folder, images, few_features):
    extractor = CleanInception(folder)

    def short(batch):  # a distance of 2048 features takes seconds
        return extractor(batch)[:, :5]

    write_npz(folder / "real.npz", [images(20)], 20)
    adm.write_reference(folder / "y.npz", ImageSet(folder / "real.npz", 20, 16), few_features)
    arguments = {"inception": few_features, "num_images": 20}
    found = adm.evaluate_images([images(20, seed=1)], folder / "y.npz", **arguments, clean=short)
    plain = adm.evaluate_images([images(20, seed=1)], folder / "y.npz", **arguments)
    assert found == plain | {
        "clean_FID": scores.frechet(short(images(20, seed=1)), short(images(20)))
    }
