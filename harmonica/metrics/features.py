"""Turns images into the features of the scores, by one of two networks: Inception (paper scale) or
the judge, a small classifier (small scales).

Both take uint8 images (B, C, H, W) and give three layers (B, D) by name: "pool" (FID, precision,
recall), "spatial" (sFID) and "logits" (IS). CleanInception adds those of clean-fid.
"""

import io

import numpy as np
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from harmonica import files
from harmonica.errors import BadInput
from harmonica.method.precision import float32_products

LAYERS = ("pool", "spatial", "logits")
SPATIAL_CHANNELS = 7  # ADM's evaluator uses the first 7 of the 192 channels of mixed_6/conv


class InceptionLayers(nn.Module):
    """TensorFlow's 2015 InceptionV3 as ADM uses it: uint8 RGB (B, 3, H, W) -> {"pool": (B, 2048),
    "spatial": (B, 2023), 17 x 17 x 7 in the order NHWC, "logits": (B, 1008)}.

    weights: a file-like object that is known to be safe, as torch-fidelity loads it without
    weights_only. sha256: of the weights file.
    """

    def __init__(self, weights, sha256=None):
        super().__init__()
        self.sha256 = sha256
        self.inception = FeatureExtractorInceptionV3(
            "inception-v3-compat",
            ["2048", "logits_unbiased"],
            feature_extractor_weights_path=weights,
        )
        self.eval()

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
    """The paper scale's network, from a weights file, on the GPU if there is one.

    Only scores by the published weights can be compared with published scores: check `sha256` of
    the result. BadInput where the file holds no InceptionV3. No code in it is executed.
    """
    clean = io.BytesIO()
    try:
        torch.save(torch.load(path, map_location="cpu", weights_only=True), clean)
        clean.seek(0)
        network = InceptionLayers(clean, files.sha256(path))
    except Exception as error:  # torch's reader raises almost anything on an odd file
        raise BadInput(
            f"inception: {path} holds no state dict of torch-fidelity's InceptionV3 "
            f"({files.first_line(error)})"
        ) from None
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


class CleanInception:
    """The features of clean-fid (Parmar et al., 2022), for a second kind of FID: uint8 images
    (n, 3, H, W) are resized with antialiasing first -> (n, 2048) float64. Its numbers differ from
    ADM's by design, so they have a column of their own.

    The weights are the inception-2015-12-05.pt in `folder`, put on the GPU if there is one. That
    file is TorchScript, which is code: check its sha256 before.
    """

    def __init__(self, folder):
        from cleanfid.inception_torchscript import InceptionV3W
        from cleanfid.resize import build_resizer

        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = InceptionV3W(str(folder), download=False).to(self.device)
        self.resize = build_resizer("clean")

    @torch.no_grad()
    def __call__(self, images):
        resized = np.stack(
            [self.resize(image.transpose(1, 2, 0)) for image in images]
        )  # (n, 299, 299, 3) float32
        with float32_products("ieee"):
            features = self.network(torch.from_numpy(resized).permute(0, 3, 1, 2).to(self.device))
        return features.double().cpu().numpy()


@torch.no_grad()
def extract(images, network, batch=128):
    """uint8 images (N, C, H, W), a numpy array or memory map -> {layer: (N, D) float64} for all
    LAYERS.

    Runs in float32 on the network's device, `batch` images at a time; apart from rounding the
    result does not depend on `batch`.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}; "
            "metrics read uint8 of shape (N, C, H, W)"
        )
    device, parts = next(network.parameters()).device, []
    # by default a GPU's convolutions use TF32, which changes the features
    with float32_products("ieee"):
        for start in range(0, len(images), batch):
            part = torch.from_numpy(np.array(images[start : start + batch], order="C"))
            features = network(part.to(device))
            parts.append({layer: features[layer].double().cpu().numpy() for layer in LAYERS})
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in LAYERS}
