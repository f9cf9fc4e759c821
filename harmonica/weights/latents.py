"""ImageNet as latents, for Learning-to-Cache's training: prepared once from images, then read by
index.

A prepared folder holds latents.json, parts of 1000 images each, latents-00000.npy (n, 4, h, w)
float32, and labels.npy. Classes count in the order of their names, which for ImageNet's synsets is
the order of the labels.
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
from harmonica.weights.sources import read

PART = 1000
ABOUT, LABELS = "latents.json", "labels.npy"
MODES = ("sample", "mean")
AGAIN = "finish it with `python -m harmonica latents prepare`"


def prepare(images, out, vae, *, size, mode="sample", batch=32, progress=iter):
    """Encode the images that sources.below found into `out`, part by part; parts that are there
    stay -> latents.json's content.

    mode: "sample" of the posterior, as DiT was trained (noise by index, so that a resumed run gives
    the same bytes), or its "mean". BadInput where `out` was begun from other images, sizes, weights
    or mode.
    """
    check(mode in MODES, "mode", mode, f"choose one of {', '.join(MODES)}")
    out, groups = Path(out), sorted({source.group for source in images}, key=_number_or_name)
    listing = "\n".join(f"{source.path.name} {source.member} {source.group}" for source in images)
    about = {
        "num_images": len(images),
        "num_classes": len(groups),
        "size": size,
        "mode": mode,
        "crop": "center",
        "vae_sha256": vae.sha256,
        "images_sha256": hashlib.sha256(listing.encode()).hexdigest(),
    }
    begun = read_json(out / ABOUT) if (out / ABOUT).exists() else about
    check(isinstance(begun, dict), "out", str(out), f"its {ABOUT} is no record of latents")
    other = [key for key in about if begun.get(key) != about[key]]
    check(
        not other,
        "out",
        str(out),
        f"it was begun with another {' and '.join(other)}; choose an empty folder",
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
                        _encoded(images, indices[i : i + batch], vae, size, mode)
                        for i in range(0, len(indices), batch)
                    ]
                ),
            )
    save_array(
        out / LABELS, np.array([label[source.group] for source in images])
    )  # last: now the folder is whole
    return about


def _number_or_name(group):
    """Classes count in the order of their numbers, or of their names."""
    return (int(group), group) if group.isdecimal() else (0, group)


def _encoded(images, indices, vae, size, mode):
    pixels = np.stack([center_crop(read(images[i]), size) for i in indices])
    if mode == "mean":
        return vae.encode(pixels)
    shape = (4, size // FACTOR, size // FACTOR)
    return vae.encode(
        pixels, seeds.normal(seeds.generators(seeds.ENCODING, indices=indices), shape)
    )


def center_crop(image, size):
    """As ADM prepares ImageNet: halve (box) while twice too large, bicubic to `size` on the short
    side, crop the middle.

    PIL image of mode RGB -> uint8 (3, size, size).
    """
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.BOX)
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image)[top : top + size, left : left + size].transpose(2, 0, 1)


class Latents:
    """A prepared folder, indexed as an array: latents[int array] -> float32 tensor (n, 4, h, w).
    Parts are memory maps.
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
    """-> (Latents, labels) for a model of that shape, or None where none are prepared. BadInput
    where unfinished or odd.
    """
    folder = latents_folder(sample_size)
    if not (folder / ABOUT).exists():
        return None
    about = read_json(folder / ABOUT)
    count = about.get("num_images") if isinstance(about, dict) else None
    check(isinstance(count, int) and count > 0, "latents", str(folder / ABOUT), AGAIN)
    images, labels = Latents(folder, count), read_array(folder / LABELS, "latents", AGAIN)
    whole = labels.shape == (count,) and sum(map(len, images.parts)) == count
    check(whole, "latents", str(folder), f"it is not whole; {AGAIN}")
    shape, wanted = images.parts[0].shape[1:], (channels, sample_size, sample_size)
    check(shape == wanted, "latents", shape, f"the model has {wanted}")
    return images, labels
