"""ImageNet as latents, for Learning-to-Cache's training: prepared once from images, then read by
index.

A prepared folder holds latents.json, parts of 1000 images each, latents-00000.npy (n, 4, h, w)
float32, and labels.npy. Classes count in the order of their names, which for ImageNet's synsets is
the order of the labels.
"""

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harmonica.errors import BadInput, check
from harmonica.files import read_json, save_array, write_json
from harmonica.method import seeds
from harmonica.metrics.images import ENDINGS
from harmonica.weights import FACTOR, latents_folder

PART = 1000
ABOUT, LABELS = "latents.json", "labels.npy"
MODES = ("sample", "mean")


@dataclass(frozen=True)
class Source:
    """One image: where its bytes are (a file; or a tar, with the member's name) and the name of its
    class.
    """

    path: Path
    member: str | None
    group: str


def sources(folder):
    """The images below a folder, in a fixed order -> [Source].

    Either folders of classes, or tars: a member's folder is its class, else the tar's name (as in
    ImageNet's own n01440764.tar), else, in WebDataset shards, the number in the .cls beside it.
    """
    folder = Path(folder)
    check(folder.is_dir(), "images", str(folder), "give a folder of class folders, or of tars")
    tars = sorted(folder.glob("*.tar"))
    found = (
        [source for tar in tars for source in _of_tar(tar)]
        if tars
        else [
            Source(path, None, path.relative_to(folder).parts[0])
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in ENDINGS and path.parent != folder
        ]
    )
    check(
        found,
        "images",
        str(folder),
        f"there are no class folders with {', '.join(ENDINGS)} files in it, and no tars",
    )
    return found


def prepare(folder, out, vae, *, size, mode="sample", batch=32, progress=iter):
    """Encode all images below `folder` into `out`, part by part; parts that are there stay ->
    latents.json's content.

    mode: "sample" of the posterior, as DiT was trained (noise by index, so that a resumed run gives
    the same bytes), or its "mean". BadInput where `out` was begun from other images, sizes, weights
    or mode.
    """
    check(mode in MODES, "mode", mode, f"choose one of {', '.join(MODES)}")
    images, out = sources(folder), Path(out)
    groups = sorted(
        {source.group for source in images},
        key=lambda name: (int(name), "") if name.isdigit() else (0, name),
    )
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


def _encoded(images, indices, vae, size, mode):
    pixels = np.stack([center_crop(_open(images[i]), size) for i in indices])
    if mode == "mean":
        return vae.encode(pixels)
    shape = (4, size // FACTOR, size // FACTOR)
    return vae.encode(
        pixels, seeds.normal(seeds.generators(seeds.ENCODING, indices=indices), shape)
    )


def center_crop(image, size):
    """As ADM prepares ImageNet: halve (box) while twice too large, bicubic to `size` on the short
    side, crop the middle.

    PIL image -> uint8 (3, size, size).
    """
    image = image.convert("RGB")
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
        parts = range(-(-num_images // PART))
        self.parts = [
            np.load(Path(folder) / f"latents-{part:05d}.npy", mmap_mode="r", allow_pickle=False)
            for part in parts
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
    try:
        images = Latents(folder, read_json(folder / ABOUT)["num_images"])
        labels = np.load(folder / LABELS, allow_pickle=False)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"latents: {folder} is not whole ({error}); finish it with `python -m harmonica latents "
            "prepare`"
        ) from None
    shape, wanted = images.parts[0].shape[1:], (channels, sample_size, sample_size)
    check(shape == wanted, "latents", shape, f"the model has {wanted}")
    return images, labels


def _of_tar(path):
    names, classes = [], {}
    with tarfile.open(path) as tar:
        for member in tar:
            stem, ending = os.path.splitext(member.name)
            if ending.lower() in ENDINGS:
                names.append(member.name)
            elif ending == ".cls":
                classes[stem] = tar.extractfile(member).read().decode().strip()
    return [
        Source(
            path,
            name,
            classes.get(os.path.splitext(name)[0]) or Path(name).parent.name or path.stem,
        )
        for name in sorted(names)
    ]


@lru_cache(maxsize=2)
def _tar(path):
    return tarfile.open(path)


def _open(source):
    try:
        if source.member is None:
            return Image.open(source.path)
        return Image.open(io.BytesIO(_tar(source.path).extractfile(source.member).read()))
    except (OSError, tarfile.TarError):
        raise BadInput(
            f"images: {source.path} {source.member or ''} is no image; replace it or take it out"
        ) from None
