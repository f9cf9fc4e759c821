"""clean-fid's features (Parmar et al., 2022), a second opinion on FID: images are shrunk with
antialiasing first.

Its numbers are other ones than ADM's by design and never stand in the FID column.
"""

import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer

from harmonica.method.precision import float32_products


class CleanInception:
    """uint8 images (n, 3, H, W) -> (n, 2048) float64, by the inception-2015-12-05.pt in `folder`.

    The file is TorchScript, which is code: the caller compares its sha256 first.
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
