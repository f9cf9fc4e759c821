"""CLIP score (Hessel et al., 2021) without its factor 2.5: 100 x the mean cosine of image and
caption, where a negative cosine counts as 0.

The paper does not say which checkpoint it used, and the choice changes the score by several points:
so it is set in the config and recorded with every score. Captions are cut at the checkpoint's limit
of tokens (77).
"""

import torch
from transformers import CLIPModel, CLIPProcessor

from harmonica.errors import BadInput
from harmonica.files import first_line
from harmonica.method.precision import float32_products
from harmonica.metrics.images import counted


class Clip:
    """The CLIP checkpoint in the folder `path`, in float32, on the GPU if there is one. name: what
    records call it. BadInput where the folder holds none.
    """

    def __init__(self, path, name):
        try:
            model = CLIPModel.from_pretrained(path, local_files_only=True)
            self.processor = CLIPProcessor.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise BadInput(f"clip: {path} holds no CLIPModel ({first_line(error)})") from None
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = torch.nn.Module.to(model.requires_grad_(False).eval(), self.device)
        self.name = name

    @torch.no_grad()
    def cosines(self, images, captions):
        """uint8 numpy (B, 3, H, W), B captions -> (B,) float64."""
        max_length = self.model.config.text_config.max_position_embeddings
        inputs = self.processor(
            text=captions,
            images=list(images),
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=max_length,
            input_data_format="channels_first",
        )
        with float32_products("ieee"):
            output = self.model(**inputs.to(self.device))
        return (output.image_embeds * output.text_embeds).sum(-1).double().cpu()


def clip_score(batches, captions, clip, num_images):
    """The score of `num_images` images in uint8 batches (n, 3, H, H). Image k has caption k modulo
    their number. BadInput where there are more or fewer images, or none.
    """
    total, scored = 0.0, 0
    for images in counted(batches, num_images):
        chosen = [captions[(scored + k) % len(captions)] for k in range(len(images))]
        total += float(clip.cosines(images, chosen).clamp(min=0).sum())
        scored += len(images)
    return 100 * total / scored
