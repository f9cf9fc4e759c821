"""Specs of published files, by name and hash, never by path. Imports no torch."""

from dataclasses import dataclass

from harmonica.errors import check


@dataclass(frozen=True, kw_only=True)
class FileSpec:
    """A published file, by its name (see harmonica/weights) and sha256."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PromptSpec(FileSpec):
    """A file of captions, the folder that holds their text embeddings (see weights/prompts.py), and
    the side of the images in pixels.

    null: a checkpoint of PixArt's own code, whose stored null prompt is used with each prompt's
    mask, as that code does. None: the empty prompt's embedding with its own mask.
    guided_channels: on how many of the first latent channels guidance acts; None: on all.
    """

    embeddings: str
    pixels: int
    null: FileSpec | None = None
    guided_channels: int | None = None

    def __post_init__(self):
        right = "it must be at least 1, or left out"
        allowed = self.guided_channels is None or self.guided_channels >= 1
        check(allowed, "guided_channels", self.guided_channels, right)


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """At paper scale: the decoder of latents, and what is needed to evaluate the images.

    reference: the name of an .npz in ADM's format. inception: the extractor's weights, by default
    the published ones. clip: the checkpoint for the CLIP score, for a model with prompts.
    """

    decoder: FileSpec
    reference: str
    inception: FileSpec | None = None
    clip: FileSpec | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedRouter(FileSpec):
    """A router file as its authors published it, and the threshold that they give for it."""

    tau: float = 0.1

    def __post_init__(self):
        check(0 < self.tau < 1, "tau", self.tau, "it must lie between 0 and 1")
