"""Turns images into the features of the scores, by one of two extractors: Inception (paper scale)
or the judge, a small classifier (small scales).

Both give three layers: "pool" (FID, precision, recall), "spatial" (sFID) and "logits" (IS).
CleanInception adds those of clean-fid.
"""

import io

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.utils import get_featuresdict_from_dataset

from harmonica import files
from harmonica.errors import BadInput
from harmonica.method.precision import float32_products

LAYERS = ("pool", "spatial", "logits")
SPATIAL_CHANNELS = 7  # ADM's evaluator uses the first 7 of the 192 channels of mixed_6/conv


class Extractor(FeatureExtractorBase):
    """A torch-fidelity extractor: uint8 images (B, C, H, W) -> features (B, D) of each of LAYERS.

    network: images -> {layer: features}; it is put in eval(). Extractor(judge.load()) is the one of
    the digits scale. sha256: of the network's weights file.
    """

    def __init__(self, network, sha256=None):
        super().__init__(type(network).__name__, list(LAYERS))
        self.network, self.sha256 = network, sha256
        self.eval()

    @property
    def device(self):
        return next(self.parameters()).device

    @staticmethod
    def get_provided_features_list():
        return LAYERS

    def forward(self, images):
        features = self.network(images)
        return tuple(features[layer] for layer in self.features_list)


class InceptionLayers(nn.Module):
    """TensorFlow's 2015 InceptionV3 as ADM uses it: uint8 RGB (B, 3, H, W) -> {"pool": (B, 2048),
    "spatial": (B, 2023), 17 x 17 x 7 in the order NHWC, "logits": (B, 1008)}.

    weights: a file-like object that is known to be safe, as torch-fidelity loads it without
    weights_only.
    """

    def __init__(self, weights):
        super().__init__()
        self.inception = FeatureExtractorInceptionV3(
            "inception-v3-compat",
            ["2048", "logits_unbiased"],
            feature_extractor_weights_path=weights,
        )

    def forward(self, images):
        maps = []
        hook = self.inception.Mixed_6d.branch1x1.register_forward_hook(
            lambda module, inputs, out: maps.append(out)
        )
        try:
            pool, logits = self.inception(images)
        finally:
            hook.remove()
        spatial = maps[0][:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)  # (B, 17 * 17 * 7)
        return {"pool": pool, "spatial": spatial, "logits": logits}


def inception(path):
    """The paper scale's extractor, from a weights file, on the GPU if there is one.

    Only scores by the published weights can be compared with published scores: check `sha256` of
    the result. BadInput where the file holds no InceptionV3. No code in it is executed.
    """
    clean = io.BytesIO()
    try:
        torch.save(torch.load(path, map_location="cpu", weights_only=True), clean)
        clean.seek(0)
        extractor = Extractor(InceptionLayers(clean), files.sha256(path))
    except Exception as error:  # torch's reader raises almost anything on an odd file
        raise BadInput(
            f"inception: {path} holds no state dict of torch-fidelity's InceptionV3 "
            f"({files.first_line(error)})"
        ) from None
    return extractor.to("cuda" if torch.cuda.is_available() else "cpu")


class CleanInception:
    """The features of clean-fid (Parmar et al., 2022), for a second kind of FID: uint8 images
    (n, 3, H, W) are resized with antialiasing first -> (n, 2048) float64. Its numbers differ from
    ADM's by design, so they have a column of their own.

    The weights are the inception-2015-12-05.pt in `folder`. That file is TorchScript, which is
    code: check its sha256 before.
    """

    def __init__(self, folder, device):
        from cleanfid.inception_torchscript import InceptionV3W
        from cleanfid.resize import build_resizer

        self.network = InceptionV3W(str(folder), download=False).to(device)
        self.device, self.resize = device, build_resizer("clean")

    @torch.no_grad()
    def __call__(self, images):
        resized = np.stack(
            [self.resize(image.transpose(1, 2, 0)) for image in images]
        )  # (n, 299, 299, 3) float32
        with float32_products("ieee"):
            features = self.network(torch.from_numpy(resized).permute(0, 3, 1, 2).to(self.device))
        return features.double().cpu().numpy()


def extract(images, extractor, batch=128):
    """uint8 images (N, C, H, W), a numpy array or memory map -> {layer: (N, D) float64} for all
    LAYERS.

    Runs in float32 on the extractor's device, `batch` images at a time; apart from rounding the
    result does not depend on `batch`.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}; "
            "metrics read uint8 of shape (N, C, H, W)"
        )
    on_gpu = extractor.device.type == "cuda"
    # by default a GPU's convolutions use TF32, which changes the features
    with float32_products("ieee"):
        features = get_featuresdict_from_dataset(
            _Images(images), extractor, batch, on_gpu, save_cpu_ram=True, verbose=False
        )
    return {layer: values.double().numpy() for layer, values in features.items()}


class _Images(Dataset):
    """A data set of uint8 tensors (C, H, W) without labels, as torch-fidelity needs it."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return torch.from_numpy(np.array(self.images[i]))
