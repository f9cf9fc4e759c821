"""Search a cache schedule for a pipeline and apply it: nearly the same images, half the
computation.

    .venv/bin/python examples/search_schedule.py [FOLDER]        (about half a minute)

The pipeline is PixArt-digits, which ships with this repository: a real PixArtAlphaPipeline, only
small. FOLDER is where the schedule goes, with a card that says how good it is; `hf upload ID
FOLDER` shares it. For your pipeline leave images and rounds out: 48 and 4 are the defaults.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from diffusers import PixArtAlphaPipeline

import harmonica
from harmonica.method import masks

PIPELINE = Path(__file__).resolve().parent.parent / "harmonica/digits/weights/pixart-digits-s0"
PROMPTS = [f"a handwritten {digit}" for digit in "zero one two three four five six seven".split()]
STEPS, GUIDANCE = 10, 1.0


def sample(pipe):
    """16 images from the same noise at every call, (16, 1, 8, 8) between 0 and 1."""
    return pipe(
        PROMPTS * 2,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        use_resolution_binning=False,  # these images have 8 x 8 pixels
        clean_caption=False,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images


def main(folder):
    pipe = PixArtAlphaPipeline.from_pretrained(PIPELINE)
    searched = harmonica.search(
        pipe, PROMPTS, steps=STEPS, cur=50, guidance=GUIDANCE, images=16, rounds=1, out=folder
    )

    pipe.set_progress_bar_config(disable=True)
    uncached = sample(pipe)
    fora = harmonica.Schedule(
        keep=masks.fora(STEPS, searched.num_blocks), timesteps=searched.timesteps
    )
    for name, schedule in {"FORA": fora, "searched": folder}.items():
        with harmonica.apply(pipe, schedule) as applied:
            error = (sample(pipe) - uncached).square().mean()
        skipped = masks.cur_percent(applied.keep)
        print(f"{name:10} {skipped:.0f} % skipped, mean squared difference {error:.2g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    where = "where the schedule goes; default a temporary folder"
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help=where)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        main(folder or temporary)
