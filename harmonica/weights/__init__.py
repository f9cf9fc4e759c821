"""Finds the published files that the paper scale needs (catalogue.py), and checks their hashes.
Imports no torch.

A model, a decoder or a reference is named by its file or folder below `folder()`; a name with a
slash that is not there is looked for in the local cache of the Hugging Face hub. Nothing is
downloaded by a run.
"""

import os
import zipfile
from pathlib import Path

from harmonica import files
from harmonica.errors import BadInput, check
from harmonica.weights.catalogue import HUB, PUBLISHED

# in place of a sha256, for a file that is not here and whose hash was never published
ABSENT = "absent"
FACTOR = 8  # pixels per latent, along a side, in Stable Diffusion's autoencoder
ARCHIVES = (".npz", ".pt", ".pth")  # zip files; torch's old format is a pickle
PICKLE = b"\x80"
IN_FOLDER = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)


def folder():
    """Where models, decoders, references and Inception lie: HARMONICA_WEIGHTS, or weights/."""
    return Path(os.environ.get("HARMONICA_WEIGHTS") or "weights")


def routers_folder():
    """Where published routers lie: HARMONICA_ROUTERS, by default routers/ in folder()."""
    return Path(os.environ.get("HARMONICA_ROUTERS") or folder() / "routers")


def latents_folder(sample_size):
    """Where prepared training images lie: HARMONICA_LATENTS, or latents-<pixels> in folder()."""
    return Path(os.environ.get("HARMONICA_LATENTS") or folder() / f"latents-{FACTOR * sample_size}")


def embeddings(prompts):
    """-> the folder of a PromptSpec's text embeddings. Where they are missing or not complete,
    BadInput says how to make them.
    """
    path = folder() / prompts.embeddings
    if not (path / "about.json").exists():
        raise BadInput(
            f"embeddings: {path} holds none that are whole; `python -m harmonica prompts prepare "
            f"{folder() / prompts.name} --model PIPELINE --out {path}` makes them"
        )
    return path


def find(name, field="weights", root=None):
    """-> the file or folder of that name. Where it is missing, BadInput gives its source and the
    folder to put it into.
    """
    root = root or folder()
    published = PUBLISHED.get(name)
    if (root / name).exists():
        return root / name
    cached = _in_hub_cache(name) if "/" in name else None
    if cached:
        return cached
    right = "no published file has that name; give a file that is there, or a published one's name"
    if published:
        hub = f", or fetch it once with `hf download {name}`" if published.source == HUB else ""
        right = f"it is published at {published.source}; put it there{hub}"
    raise BadInput(f"{field}: {root / name} does not exist; {right}")


def file_of(path):
    """The file of tensors at `path`: the path itself if it is a file, else the weights in a
    diffusers folder or in its transformer/.
    """
    path = Path(path)
    check(path.exists(), "weights", str(path), "it does not exist")
    if path.is_file():
        return path
    candidates = [path / sub / name for sub in ("", "transformer") for name in IN_FOLDER]
    weights_file = next((file for file in candidates if file.is_file()), None)
    check(
        weights_file,
        "weights",
        str(path),
        f"a diffusers folder holds config.json and {' or '.join(IN_FOLDER)}",
    )
    return weights_file


def sha256(path):
    """sha256 of the tensors at `path`, a file or a diffusers folder."""
    return files.sha256(file_of(path))


def published_sha256(name):
    """The hash that a config records for a published name: the known one, else that of the local
    file, else ABSENT.
    """
    if name in PUBLISHED and PUBLISHED[name].sha256:
        return PUBLISHED[name].sha256
    try:
        return sha256(find(name))
    except BadInput:
        return ABSENT


def checked(name, expected, field="weights", root=None):
    """-> the path of a published name. BadInput where it is missing, or where its sha256 neither is
    `expected` nor begins with it.
    """
    path = find(name, field, root)
    digest = sha256(path)
    check(
        expected != ABSENT,
        field,
        name,
        "it has been put there since this command began; give the command again",
    )
    check(
        digest.startswith(expected),
        field,
        str(path),
        f"its sha256 is {digest[:12]}..., not {expected[:12]}...: "
        "the file is incomplete or another one",
    )
    return path


def whole(name, expected):
    """BadInput where a published name is missing, damaged, or is another file than that of the
    sha256 `expected`; None: its hash is in no spec.
    """
    path = checked(name, expected, "file") if expected else find(name, "file")
    if path.is_file() and path.suffix in ARCHIVES:
        with open(path, "rb") as file:
            pickled = file.read(1) == PICKLE and path.suffix != ".npz"
        right = "it is cut off, or is another file; fetch it again"
        check(pickled or zipfile.is_zipfile(path), "file", str(path), right)


def checked_router(name, expected):
    """-> the path of a published router in routers_folder(). If no file has that name, a file of
    another name with the sha256 `expected` is taken.
    """
    root = routers_folder()
    if not (root / name).exists():
        for path in sorted(root.glob("*.pt*")):
            if sha256(path) == expected:
                return path
    return checked(name, expected, "router", root)


def _in_hub_cache(name):
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None
