"""The autoencoder of the published DiTs, Stable Diffusion's (sd-vae-ft-ema, -mse), by diffusers."""

import numpy as np
import torch
from diffusers import AutoencoderKL

from harmonica import weights
from harmonica.errors import BadInput
from harmonica.files import first_line
from harmonica.method.precision import float32_products


class Vae:
    """Encodes images (B, 3, H, W) to latents (B, 4, h, w) float32 and decodes them, one image at a
    time, in float32 without TF32.
    """

    def __init__(self, spec):
        """spec: a FileSpec of a diffusers folder or hub id. BadInput where it is missing, has
        another hash or holds no AutoencoderKL.
        """
        path = weights.checked(spec.name, spec.sha256, "decoder")
        try:
            model = AutoencoderKL.from_pretrained(
                path, local_files_only=True, torch_dtype=torch.float32
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = first_line(error)
            raise BadInput(f"decoder: {path} holds no AutoencoderKL ({reason})") from None
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = torch.nn.Module.to(model.requires_grad_(False).eval(), self.device)
        # image by image: limits memory, and makes an image's bytes independent of its batch
        self.model.enable_slicing()
        self.sha256 = spec.sha256
        # 0.18215, as in DiT, where the folder's config does not give it
        self.scale = model.config.scaling_factor

    def decode(self, latents):
        """-> uint8 numpy (B, 3, H, W)."""
        return decoded(self.model, latents.float().to(self.device) / self.scale)

    @torch.no_grad()
    def encode(self, images, noise):
        """images uint8 (B, 3, H, W) -> latents (B, 4, h, w) float32 numpy, drawn from the posterior
        by noise of the latents' shape.
        """
        x = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).float() / 127.5 - 1
        with float32_products("ieee"):
            posterior = self.model.encode(x).latent_dist
        latents = posterior.mean + posterior.std * noise.to(self.device)
        return (self.scale * latents).cpu().numpy()


@torch.no_grad()
def decoded(model, latents):
    """Latents, already divided by the scaling factor -> uint8 numpy (B, 3, H, W), rounded as in the
    official DiT: 127.5 x + 128, clamped and truncated.
    """
    with float32_products("ieee"):
        images = model.decode(latents).sample
    return (127.5 * images + 128).clamp(0, 255).to(torch.uint8).cpu().numpy()
