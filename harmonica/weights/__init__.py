"""The published files that the paper scale needs: their names, where they come from, where they
must lie. Imports no torch.

A model, a decoder or a reference is named by its file or folder below `folder()`; a name with a
slash that is not there is looked for in the local cache of the Hugging Face hub. Nothing is
downloaded by a run.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from harmonica import files
from harmonica.errors import BadInput, check

# stands for the sha256 of a file whose hash was never published and which is not here
ABSENT = "absent"
DIT = "the DiT authors' repository, github.com/facebookresearch/DiT, section Sampling"
HUB = "the Hugging Face hub"
PIXART_OWN = {  # checkpoints of PixArt's own code by repository: their null prompt is read
    "PixArt-alpha/PixArt-alpha": (
        "PixArt-XL-2-256x256.pth",
        "PixArt-XL-2-512x512.pth",
        "PixArt-XL-2-1024-MS.pth",
    ),
    "PixArt-alpha/PixArt-Sigma": ("PixArt-Sigma-XL-2-1024-MS.pth", "PixArt-Sigma-XL-2-2K-MS.pth"),
}
ADM = "github.com/openai/guided-diffusion, folder evaluations"
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
CLEAN_INCEPTION = "inception-2015-12-05.pt"
LTC = "github.com/horseee/learning-to-cache, folder DiT/ckpt"
LTC_UVIT = "github.com/horseee/learning-to-cache, folder U-ViT/ckpt"
UVIT = "imagenet256_uvit_huge.pth"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A file: its name below the folder, who publishes it, its bytes and sha256 where we know them
    from a public source.
    """

    name: str
    source: str
    num_bytes: int | None = None
    sha256: str | None = None
    tokens: int | None = None  # of a DiT, PixArt or U-ViT: patches


# Sizes and hashes were read from public scripts that check them, the routers' computed from the
# repository's files.
PUBLISHED = {
    published.name: published
    for published in (
        Published(
            name="DiT-XL-2-256x256.pt",
            source=DIT,
            tokens=256,
            num_bytes=2_700_611_775,
            sha256="9ec1876e4c03471bca126663a30e2d1b20610b6d2f87850a39a36f25cc685521",
        ),
        Published(name="DiT-XL-2-512x512.pt", source=DIT, tokens=1024),
        Published(
            name=UVIT,
            source="the U-ViT authors' repository, github.com/baofff/U-ViT, section Pretrained "
            "Models: ImageNet 256x256 (U-ViT-H/2)",
            tokens=256,
        ),
        Published(name="facebook/DiT-XL-2-256", source=HUB, tokens=256),
        Published(name="facebook/DiT-XL-2-512", source=HUB, tokens=1024),
        Published(name="PixArt-alpha/PixArt-XL-2-256x256", source=HUB, tokens=256),
        Published(name="PixArt-alpha/PixArt-XL-2-512x512", source=HUB, tokens=1024),
        Published(name="PixArt-alpha/PixArt-XL-2-1024-MS", source=HUB, tokens=4096),
        Published(name="PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", source=HUB, tokens=4096),
        Published(name="PixArt-alpha/PixArt-Sigma-XL-2-2K-MS", source=HUB, tokens=16384),
        *(
            Published(name=name, source=f"{HUB}, repository {repository}")
            for repository, names in PIXART_OWN.items()
            for name in names
        ),
        Published(name="stabilityai/sdxl-vae", source=HUB),
        Published(name="openai/clip-vit-large-patch14", source=HUB),
        *(
            Published(
                name=f"coco/{name}",
                source="cocodataset.org; experiments/pixart_alpha/README.md says how to make it",
            )
            for name in (
                "captions.txt",
                *(f"reference-{pixels}.npz" for pixels in (256, 512, 1024, 2048)),
            )
        ),
        Published(name="stabilityai/sd-vae-ft-ema", source=HUB, num_bytes=334_643_276),
        Published(
            name="stabilityai/sd-vae-ft-mse",
            source=HUB,
            num_bytes=334_643_276,
            sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        ),
        Published(name="VIRTUAL_imagenet256_labeled.npz", source=ADM, num_bytes=2_037_122_530),
        Published(name="VIRTUAL_imagenet512.npz", source=ADM),
        Published(
            name=INCEPTION,
            source="torch-fidelity's v0.2.0 GitHub release",
            num_bytes=95_628_359,
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        ),
        Published(
            name=CLEAN_INCEPTION,
            source="NVIDIA's stylegan2-ada-pytorch (pretrained/metrics)",
            sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        ),
        Published(
            name="DDIM50_router.pt",
            source=LTC,
            num_bytes=58_744,
            sha256="fd83c172f77ad71f8695d5972497d1a4d113119e0e0415861812ca8eea9f60b2",
        ),
        Published(
            name="DDIM20_router.pt",
            source=LTC,
            num_bytes=24_064,
            sha256="c3134cfe7a69e31f188ac3d8ace7f6b586db92daa30c99f17e46d3f24e7408c7",
        ),
        Published(
            name="dpm20_router.pth",
            source=LTC_UVIT,
            num_bytes=10_962,
            sha256="836ee44bd212985cc7e03e619691cd5530677dcbd0121b2558674fdca9bf59a1",
        ),
        Published(
            name="dpm50_router.pth",
            source=LTC_UVIT,
            num_bytes=27_358,
            sha256="6778122d7b4ac1816d98d7c0de18727f42956bb6de0233a30215bfebf91c8578",
        ),
    )
}
FACTOR = 8  # of Stable Diffusion's autoencoder: 256 px are 32 latents
IN_FOLDER = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)


def folder():
    """Models, decoders, references, Inception: HARMONICA_WEIGHTS, by default weights/."""
    return Path(os.environ.get("HARMONICA_WEIGHTS") or "weights")


def routers_folder():
    """Published routers: HARMONICA_ROUTERS, by default routers/ in the folder above."""
    return Path(os.environ.get("HARMONICA_ROUTERS") or folder() / "routers")


def latents_folder(sample_size):
    """Prepared training images: HARMONICA_LATENTS, by default latents-<pixels> in folder()."""
    return Path(os.environ.get("HARMONICA_LATENTS") or folder() / f"latents-{FACTOR * sample_size}")


def embeddings(prompts):
    """-> the folder of a PromptSpec's text embeddings. BadInput says how they are made where they
    are not whole.
    """
    path = folder() / prompts.embeddings
    if not (path / "about.json").exists():
        raise BadInput(
            f"embeddings: {path} holds none that are whole; `python -m harmonica prompts prepare "
            f"{folder() / prompts.name} --model PIPELINE --out {path}` makes them"
        )
    return path


def find(name, field="weights", below=None):
    """-> the file or folder of that name. BadInput with its name, its source and the folder to put
    it into.
    """
    below, known = below or folder(), PUBLISHED.get(name)
    if (below / name).exists():
        return below / name
    cached = _in_hub_cache(name) if "/" in name else None
    if cached:
        return cached
    said = f"it is published at {known.source}" if known else "no published file has that name"
    hub = f", or fetch it once with `hf download {name}`" if known and known.source == HUB else ""
    raise BadInput(f"{field}: {below / name} does not exist; {said}; put it there{hub}")


def file_of(path):
    """The one file of tensors that `path` stands for: itself, or that of a diffusers folder (or of
    its transformer/).
    """
    path = Path(path)
    check(path.exists(), "weights", str(path), "it does not exist")
    if path.is_file():
        return path
    tried = [path / sub / name for sub in ("", "transformer") for name in IN_FOLDER]
    found = next((file for file in tried if file.is_file()), None)
    check(
        found,
        "weights",
        str(path),
        f"a diffusers folder holds config.json and {' or '.join(IN_FOLDER)}",
    )
    return found


def sha256(path):
    """sha256 of the tensors at `path`, a file or a diffusers folder."""
    return files.sha256(file_of(path))


def published_sha256(name):
    """What a config writes down for a published name: the known hash, else that of the file here,
    else ABSENT.
    """
    if name in PUBLISHED and PUBLISHED[name].sha256:
        return PUBLISHED[name].sha256
    try:
        return sha256(find(name))
    except BadInput:
        return ABSENT


def checked(name, expected, field="weights", below=None):
    """-> the path of a published name whose sha256 is or begins with `expected`; BadInput where it
    is missing or another.
    """
    path = find(name, field, below)
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


def checked_router(name, expected):
    """-> the path of a published router below routers_folder(): of that name, or of any name if its
    sha256 is `expected`.
    """
    below = routers_folder()
    if not (below / name).exists():
        for path in sorted(below.glob("*.pt*")):
            if sha256(path) == expected:
                return path
    return checked(name, expected, "router", below)


def _in_hub_cache(name):
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None
