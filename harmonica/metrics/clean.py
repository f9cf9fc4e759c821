"""clean-fid's features (Parmar et al., 2022), a second opinion on FID: images are shrunk with
antialiasing first.

Its numbers are other ones than ADM's by design and never stand in the FID column.
"""

import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer

from harmonica import weights
from harmonica.method.precision import float32_products


def beside(folder, device):
    """-> CleanInception where its weights lie in `folder`, else None; and why it is None, else
    None.
    """
    known = weights.PUBLISHED[weights.CLEAN_INCEPTION]
    if (folder / known.name).is_file():
        return CleanInception(folder, device), None
    return None, f"clean_FID is left out: {known.name} of {known.source} is not in {folder}"


class CleanInception:
    """uint8 images (n, 3, H, W) -> (n, 2048) float64, by the weights CLEAN_INCEPTION in `folder`.

    BadInput where the file is missing or another one.
    """

    def __init__(self, folder, device="cpu"):
        known = weights.PUBLISHED[weights.CLEAN_INCEPTION]
        weights.checked(known.name, known.sha256, "inception", folder)
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
