"""ImageNet as latents, for training Learning-to-Cache: made once from images, then read by index.

A prepared folder holds latents.json, labels.npy, and the latents in parts of 1000 images:
latents-00000.npy (n, 4, h, w) float32 and so on. Classes are numbered in the order of their names,
which for ImageNet's synsets is the order of its labels.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harmonica.errors import check
from harmonica.files import read_array, read_json, save_array, write_json
from harmonica.method import seeds
from harmonica.weights import FACTOR, latents_folder
from harmonica.weights.class_folders import read

PART = 1000
ABOUT, LABELS = "latents.json", "labels.npy"
BATCH = 32  # images that are read at a time
AGAIN = "finish it with `python -m harmonica latents prepare`"


def prepare(images, out, vae, *, size, progress=iter):
    """Encode the images that class_folders.below found into the folder `out`, part by part;
    existing parts are kept -> the content of latents.json.

    The latents are drawn from the posterior, as in DiT's training. The noise depends on the image's
    index, so that a resumed run gives the same bytes. BadInput where `out` was begun with other
    images, size or weights.
    """
    out = Path(out)
    groups = sorted({source.group for source in images}, key=_number_or_name)
    listing = "\n".join(f"{source.path.name} {source.member} {source.group}" for source in images)
    about = {
        "num_images": len(images),
        "num_classes": len(groups),
        "size": size,
        "mode": "sample",
        "crop": "center",
        "vae_sha256": vae.sha256,
        "images_sha256": hashlib.sha256(listing.encode()).hexdigest(),
    }
    stored = read_json(out / ABOUT) if (out / ABOUT).exists() else about
    check(isinstance(stored, dict), "out", str(out), f"its {ABOUT} is no record of latents")
    differing = [key for key in about if stored.get(key) != about[key]]
    check(
        not differing,
        "out",
        str(out),
        f"it was begun with another {' and '.join(differing)}; choose an empty folder",
    )
    write_json(out / ABOUT, about)
    label = {group: i for i, group in enumerate(groups)}
    for part in progress(range(-(-len(images) // PART))):
        path = out / f"latents-{part:05d}.npy"
        if not path.exists():
            indices = range(part * PART, min((part + 1) * PART, len(images)))
            save_array(
                path,
                np.concatenate(
                    [
                        _encoded(images, indices[i : i + BATCH], vae, size)
                        for i in range(0, len(indices), BATCH)
                    ]
                ),
            )
    # written last: without it the folder is not complete
    save_array(out / LABELS, np.array([label[source.group] for source in images]))
    return about


def _number_or_name(group):
    """The key that sorts classes by number where their names are numbers, else by name."""
    return (int(group), group) if group.isdecimal() else (0, group)


def _encoded(images, indices, vae, size):
    pixels = np.stack([center_crop(read(images[i]), size) for i in indices])
    shape = (4, size // FACTOR, size // FACTOR)
    return vae.encode(
        pixels, seeds.normal(seeds.generators(seeds.ENCODING, indices=indices), shape)
    )


def center_crop(image, size):
    """PIL image of mode RGB -> uint8 (3, size, size), as ADM prepares ImageNet: halved with a box
    filter while the short side is at least 2 size, resized (bicubic) until it is `size`, and
    cropped to the middle.
    """
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.BOX)
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image)[top : top + size, left : left + size].transpose(2, 0, 1)


class Latents:
    """A prepared folder that can be indexed: latents[int array] -> float32 tensor (n, 4, h, w). The
    parts are memory-mapped.
    """

    def __init__(self, folder, num_images):
        self.parts = [
            read_array(Path(folder) / f"latents-{part:05d}.npy", "latents", AGAIN, mapped=True)
            for part in range(-(-num_images // PART))
        ]
        self.num_images = num_images

    def __len__(self):
        return self.num_images

    def __getitem__(self, indices):
        return torch.from_numpy(np.stack([self.parts[i // PART][i % PART] for i in indices]))


def training_images(channels, sample_size):
    """-> (Latents, labels) for a model with latents (channels, sample_size, sample_size), or None
    where none are prepared. BadInput where they are incomplete or of another shape.
    """
    folder = latents_folder(sample_size)
    if not (folder / ABOUT).exists():
        return None
    about = read_json(folder / ABOUT)
    count = about.get("num_images") if isinstance(about, dict) else None
    check(isinstance(count, int) and count > 0, "latents", str(folder / ABOUT), AGAIN)
    images, labels = Latents(folder, count), read_array(folder / LABELS, "latents", AGAIN)
    complete = labels.shape == (count,) and sum(map(len, images.parts)) == count
    check(complete, "latents", str(folder), f"it is not whole; {AGAIN}")
    shape, needed = images.parts[0].shape[1:], (channels, sample_size, sample_size)
    check(shape == needed, "latents", shape, f"the model has {needed}")
    return images, labels
