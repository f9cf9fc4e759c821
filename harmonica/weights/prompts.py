"""Captions as text embeddings, computed once and kept on disk, so that T5 need not be in memory
while routers train.

A folder holds origin.json (hash of the captions, pipeline), and parts of PART captions each: one
file with the embeddings of all their tokens, (tokens, C) float16 without padding, and one with the
number of tokens of each caption. The empty prompt comes after the last caption. about.json (as
origin.json, with the counts) is written last, when the folder is complete.
"""

import codecs
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from harmonica import weights
from harmonica.backbones.pixart import TextCond
from harmonica.errors import BadInput, check
from harmonica.files import read_array, read_json, save_array, write_json
from harmonica.weights.checkpoints import read_tensors

PART = 1000
# PixArt's stored null prompt in a checkpoint of its own code; the diffusers copies do not have it
NULL = "y_embedder.y_embedding"
MARKS = {  # the longer ones first, as the UTF-16 mark is the beginning of the UTF-32 one
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
AGAIN = "delete it and about.json, and `python -m harmonica prompts prepare` makes them again"


def read_captions(path):
    """The non-empty lines of a text file. BadInput where it is not UTF-8, or has none."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"captions: {path} cannot be read ({error.strerror})") from None
    coded = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    if coded or b"\0" in content:
        coded = coded or "UTF-16 or no text at all"
        raise BadInput(f"captions: {path} is {coded}; save it as UTF-8")
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError as error:
        line, byte = 1 + content[: error.start].count(b"\n"), content[error.start]
        raise BadInput(
            f"captions: {path} is not UTF-8 but of another encoding (line {line} has the byte "
            f"0x{byte:02x}); save it as UTF-8"
        ) from None
    captions = [line.strip() for line in lines if line.strip()]
    check(captions, "captions", str(path), "it is empty; write one caption on each line")
    return captions


def is_whole(about, out):
    """Whether the folder `out` holds all embeddings of the origin `about`. BadInput where it holds
    others, complete or not.
    """
    if (out / "origin.json").exists():
        right = "it holds embeddings of other captions or another pipeline; choose another folder"
        check(read_json(out / "origin.json") == about, "out", str(out), right)
    return (out / "about.json").exists()


@torch.no_grad()
def prepare(encode, captions, about, out, batch=16, progress=iter):
    """Embed captions into the folder `out`. After a kill the same call goes on with the first part
    that is missing.

    encode(prompts) -> (n, L, C), mask (n, L), padding on the right. about: the captions' origin,
    JSON-serialisable. BadInput where `out` holds embeddings of another origin, complete or not.
    """
    if is_whole(about, out):
        return
    write_json(out / "origin.json", about)
    prompts = [*captions, ""]
    for first in progress(range(0, len(prompts), PART)):
        path = _part(out, first // PART)
        counts = []
        if path.exists() and path.with_suffix(".counts.npy").exists():
            continue
        packed = []
        for i in range(first, min(first + PART, len(prompts)), batch):
            embeds, mask = encode(prompts[i : min(i + batch, first + PART)])
            counts += mask.sum(1).tolist()
            packed.append(embeds[mask.bool()].float().cpu().numpy())  # without padding
        save_array(path, np.concatenate(packed).astype(np.float16))
        save_array(path.with_suffix(".counts.npy"), np.array(counts))
    write_json(
        out / "about.json", {**about, "count": len(captions), "tokens": encode([""])[0].shape[1]}
    )


class Prompts:
    """The embeddings that a PromptSpec names. BadInput where they are missing, damaged or made from
    other captions.
    """

    def __init__(self, spec):
        self.folder = weights.embeddings(spec)
        self.pixels = spec.pixels
        about = read_json(self.folder / "about.json")
        complete = (
            isinstance(about, dict)
            and "captions_sha256" in about
            and all(isinstance(about.get(key), int) for key in ("count", "tokens"))
        )
        check(
            complete,
            "embeddings",
            str(self.folder / "about.json"),
            f"it does not say of what they are; {AGAIN}",
        )
        check(
            about["captions_sha256"] == spec.sha256,
            "embeddings",
            str(self.folder),
            f"they are of other captions than those of {spec.name}; prepare them in another folder",
        )
        self.count, self.tokens = about["count"], about["tokens"]
        self._null, self._null_mask = self._padded(self.count)
        self.width = self._null.shape[1]
        if spec.null:
            self._null, self._null_mask = _stored_null(spec.null, self._null.shape), None

    def cond(self, indices, device="cpu", dtype=torch.float32):
        """-> TextCond of captions k modulo their count. Image sizes are always given, as a model
        without use for them ignores them.
        """
        embeds, masks = map(torch.stack, zip(*(self._padded(int(k) % self.count) for k in indices)))
        sizes = torch.full((len(masks), 2), float(self.pixels)), torch.ones(len(masks), 1)
        embeds, resolution, aspect_ratio, null = (
            x.to(device, dtype) for x in (embeds, *sizes, self._null[None])
        )
        masks = masks.to(device)
        null_mask = masks if self._null_mask is None else self._null_mask[None].to(device)
        return TextCond(embeds, masks, resolution, aspect_ratio, null, null_mask)

    def _padded(self, k):
        """-> the embedding (L, C) and mask (L,) of caption k; padding is 0 in both."""
        first = k - k % PART
        packed, ends = _open(self.folder, k // PART, min(PART, self.count + 1 - first), self.tokens)
        begin, end = ends[k % PART], ends[k % PART + 1]
        embed = torch.zeros(self.tokens, packed.shape[1], dtype=torch.float16)
        embed[: end - begin] = torch.from_numpy(packed[begin:end].copy())
        return embed, (torch.arange(self.tokens) < end - begin).long()


def _stored_null(spec, shape):
    """The null prompt (L, C) in a checkpoint. BadInput where it has none of this shape."""
    path = weights.checked(spec.name, spec.sha256, "null prompt")
    null = read_tensors(path).get(NULL)
    right = f"{NULL} of {shape[0]} x {shape[1]} is expected in it; a diffusers folder has none"
    check(null is not None and null.shape == shape, "null prompt", str(path), right)
    return null


def _part(folder, number):
    return folder / f"part-{number:05d}.npy"


@lru_cache
def _open(folder, number, num_captions, longest):
    """Open a part -> its embeddings (tokens, C), memory-mapped, and the num_captions + 1 boundaries
    between captions in it. longest: the largest number of tokens that a caption may have.
    """
    path = _part(folder, number)
    packed = read_array(path, "embeddings", AGAIN, mapped=True)
    counts = read_array(path.with_suffix(".counts.npy"), "embeddings", AGAIN)
    consistent = (
        packed.ndim == 2
        and packed.dtype == np.float16
        and counts.shape == (num_captions,)
        and counts.dtype.kind == "i"
    )
    check(
        consistent
        and 0 <= counts.min()
        and counts.max() <= longest
        and counts.sum() == len(packed),
        "embeddings",
        str(path),
        f"it and its .counts.npy are not those of {num_captions} captions "
        f"of up to {longest} tokens; {AGAIN}",
    )
    return packed, np.concatenate([[0], np.cumsum(counts)])
