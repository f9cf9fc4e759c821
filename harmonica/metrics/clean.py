"""The features of clean-fid (Parmar et al., 2022), for a second kind of FID: images are resized
with antialiasing first.

Its numbers differ from ADM's by design, so they have a column of their own.
"""

import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer

from harmonica.method.precision import float32_products


class CleanInception:
    """uint8 images (n, 3, H, W) -> (n, 2048) float64, by the inception-2015-12-05.pt in `folder`.

    The file is TorchScript, which is code: check its sha256 before.
    """

    def __init__(self, folder, device="cpu"):
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
