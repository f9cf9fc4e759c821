"""What routers and runs are made of: files by name and hash, base models, how a router is trained.
Imports no torch.

Frozen data with range checks; runs.py makes artefacts with ids of it.
"""

from dataclasses import dataclass

from harmonica.errors import check

SCALES = ("smoke", "digits", "paper")


@dataclass(frozen=True, kw_only=True)
class FileSpec:
    """A published file, by its name (see weights.py) and sha256."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PromptSpec(FileSpec):
    """A file of captions, the folder that holds their text embeddings (see prompts.py), and the
    images' side in pixels.
    """

    embeddings: str
    pixels: int


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A base model: its weights by name and sha256. numerics: official (also where not given) or
    diffusers.

    At paper scale the name is that of a file, folder or hub id (see weights.py). heads: of an
    official file whose width no published DiT has. prompts: what a text-to-image model is
    conditioned on.
    """

    name: str
    sha256: str
    scale: str
    numerics: str | None = None
    heads: int | None = None
    prompts: PromptSpec | None = None

    def __post_init__(self):
        check(self.scale in SCALES, "scale", self.scale, f"choose one of {', '.join(SCALES)}")
        check(
            self.numerics in (None, "official", "diffusers"),
            "numerics",
            self.numerics,
            "choose official or diffusers",
        )


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """Paper scale: the decoder of latents, and what the images are compared with.

    reference: name of an .npz as ADM publishes, by default ADM's own of the images' resolution.
    inception: by default the published weights. clip: the checkpoint of the CLIP score, for a model
    with prompts.
    """

    decoder: FileSpec
    reference: str | None = None
    inception: FileSpec | None = None
    clip: FileSpec | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedRouter(FileSpec):
    """A router file as its authors published it, and the threshold that they give for it."""

    tau: float = 0.1

    def __post_init__(self):
        check(0 < self.tau < 1, "tau", self.tau, "it must lie between 0 and 1")
