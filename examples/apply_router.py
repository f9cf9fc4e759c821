"""Apply a router to a diffusers pipeline: nearly the same images with half of the computations.

    .venv/bin/python examples/apply_router.py        (5 seconds)

The pipeline is PixArt-digits, which ships with this repository: a real PixArtAlphaPipeline, only
small. The router was trained for it by HarmoniCa, and is committed here.
"""

import argparse
import time
from pathlib import Path

import torch
from diffusers import PixArtAlphaPipeline

import harmonica

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = ROOT / "harmonica/digits/weights/pixart-digits-s0"
ROUTER = (
    ROOT / "results/routers/pixart-digits-s0-t10-sdt-leave-one-out-cur56.01-5d516f31.safetensors"
)


def sample(pipe):
    """16 images from the same noise at every call, (16, 1, 8, 8) between 0 and 1."""
    return pipe(
        ["a handwritten three", "the digit 7"] * 8,
        num_inference_steps=10,  # a router has one row for each step
        guidance_scale=1.0,
        use_resolution_binning=False,  # these images have 8 x 8 pixels
        clean_caption=False,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images


def timed(pipe):
    """-> the images, and the seconds of the fastest of three calls."""
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        images = sample(pipe)
        seconds.append(time.perf_counter() - begin)
    return images, min(seconds)


def main():
    pipe = PixArtAlphaPipeline.from_pretrained(PIPELINE)
    pipe.set_progress_bar_config(disable=True)
    uncached, seconds = timed(pipe)
    print(f"uncached             {seconds:.2f} s")
    for cur in (25, 50, 75):
        with harmonica.apply_router(pipe, ROUTER, cur=cur):
            images, seconds = timed(pipe)
        error = (images - uncached).square().mean()
        print(f"{cur} % reused          {seconds:.2f} s, mean squared difference {error:.2g}")
    print(f"router removed       the same images as before: {torch.equal(sample(pipe), uncached)}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n\n")[0]).parse_args()
    main()
