"""Images -> the features that the scores read, by one of two extractors: Inception (paper scale) or a judge (digits).

Both give three layers: "pool" (FID, precision, recall, KID), "spatial" (sFID) and "logits" (IS).
"""
import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.utils import get_featuresdict_from_dataset

LAYERS = ("pool", "spatial", "logits")
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d"       # how it begins; the file's publisher puts it into the name
SPATIAL_CHANNELS = 7                # of the 192 of mixed_6/conv, as ADM's evaluator takes


class Extractor(FeatureExtractorBase):
    """A torch-fidelity extractor over `network`: uint8 images (B, C, H, W) -> a dict holding LAYERS, each (B, D).

    Extractor(judge.load()) is the digits scale's. Puts `network` in eval().
    """

    def __init__(self, network):
        super().__init__(type(network).__name__, list(LAYERS))
        self.network = network
        self.eval()

    @staticmethod
    def get_provided_features_list():
        return LAYERS

    def forward(self, images):
        features = self.network(images)
        return tuple(features[layer] for layer in self.features_list)


class InceptionLayers(nn.Module):
    """TensorFlow's 2015 InceptionV3 as ADM reads it: uint8 RGB (B, 3, H, W) -> 2048-d, 2023-d (17x17x7, NHWC), 1008-d."""

    def __init__(self, path):
        super().__init__()
        self.inception = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path))

    def forward(self, images):
        maps = []
        hook = self.inception.Mixed_6d.branch1x1.register_forward_hook(lambda module, inputs, out: maps.append(out))
        try:
            pool, logits = self.inception(images)
        finally:
            hook.remove()
        spatial = maps[0][:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)      # (B, 17 * 17 * 7)
        return {"pool": pool, "spatial": spatial, "logits": logits}


def inception(path):
    """The paper scale's extractor, from the local weights file `path` (INCEPTION_FILE), on the CPU.

    Raises FileNotFoundError where it is missing, ValueError where its sha256 is not the published one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Inception weights: {path.name} is not in {path.parent}; put {INCEPTION_FILE} of "
                                "torch-fidelity's v0.2.0 GitHub release into that folder")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(INCEPTION_SHA256):
        raise ValueError(f"Inception weights: {path} has sha256 {digest[:8]}..., but {INCEPTION_FILE} of torch-fidelity's "
                         f"v0.2.0 GitHub release has {INCEPTION_SHA256}...; the file is incomplete or another one")
    return Extractor(InceptionLayers(path))


def extract(images, extractor, batch=128):
    """uint8 images (N, C, H, W), a numpy array (a memory map will do) -> {layer: (N, D) float64} for all LAYERS.

    Runs in float32 on the device that holds `extractor`, `batch` images at a time; the result does not depend on `batch`
    beyond rounding.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images are {images.dtype} of shape {images.shape}; metrics read uint8 of shape (N, C, H, W)")
    on_gpu = next(extractor.parameters()).is_cuda
    features = get_featuresdict_from_dataset(_Images(images), extractor, batch, on_gpu, save_cpu_ram=True, verbose=False)
    return {layer: values.double().numpy() for layer, values in features.items()}


class _Images(Dataset):
    """Bare uint8 tensors (C, H, W), the form torch-fidelity asks for."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return torch.from_numpy(np.array(self.images[i]))
