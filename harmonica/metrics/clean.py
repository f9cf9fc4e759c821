"""clean-fid's features (Parmar et al., 2022), a second opinion on FID: images are shrunk with antialiasing first.

Its numbers are other ones than ADM's by design and never stand in the FID column.
"""
import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer

from ..arithmetic import float32_products
from .features import checked_weights

CLEAN_FILE = "inception-2015-12-05.pt"
CLEAN_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
CLEAN_SOURCE = "NVIDIA's stylegan2-ada-pytorch (pretrained/metrics)"


def beside(folder, device):
    """-> CleanInception where its weights lie in `folder`, else None; and why it is None, else None."""
    if (folder / CLEAN_FILE).is_file():
        return CleanInception(folder, device), None
    return None, f"clean_FID is left out: {CLEAN_FILE} of {CLEAN_SOURCE} is not in {folder}"


class CleanInception:
    """uint8 images (n, 3, H, W) -> (n, 2048) float64, by the weights CLEAN_FILE in `folder`.

    BadInput where the file is missing or another one.
    """

    def __init__(self, folder, device="cpu"):
        checked_weights(folder / CLEAN_FILE, CLEAN_SHA256, CLEAN_SOURCE)
        self.network = InceptionV3W(str(folder), download=False).to(device)
        self.device, self.resize = device, build_resizer("clean")

    @torch.no_grad()
    def __call__(self, images):
        resized = np.stack([self.resize(image.transpose(1, 2, 0)) for image in images])     # (n, 299, 299, 3) float32
        with float32_products("ieee"):
            features = self.network(torch.from_numpy(resized).permute(0, 3, 1, 2).to(self.device))
        return features.double().cpu().numpy()
