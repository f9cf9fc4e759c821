"""Train a router for a pipeline of your own. No images are needed, and a killed training is
resumed.

    .venv/bin/python examples/make_router.py [FOLDER]        (20 seconds)

This calls the command `python -m harmonica train` from Python, for a pipeline that ships with this
repository. For yours, give its folder or its id on the Hugging Face hub and your number of steps,
and leave --trajectories out: 100 is the default. FOLDER is where the router goes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from diffusers import PixArtAlphaPipeline

import harmonica
from harmonica.__main__ import main as command

PIPELINE = Path(__file__).resolve().parent.parent / "harmonica/digits/weights/pixart-digits-s0"


def main(folder):
    # The options of the training command: T = 10 steps, half of all block computations reused.
    options = {"--model": PIPELINE, "--steps": 10, "--cur": 50, "--guidance": 1, "--out": folder}
    arguments = [str(part) for option in options.items() for part in option]
    code = command(["train", *arguments, "--trajectories", "20"])
    if code:
        sys.exit(code)

    router = harmonica.Router.from_pretrained(folder)
    print(f"router     {router.num_steps} steps x {router.num_blocks} blocks, # = computed:")
    for row in router.keep(50):
        print("           " + "".join("#" if computed else "." for computed in row))

    pipe = PixArtAlphaPipeline.from_pretrained(PIPELINE)
    with harmonica.apply_router(pipe, folder, cur=50):
        pipe(
            "a handwritten three",
            num_inference_steps=10,
            guidance_scale=1.0,
            use_resolution_binning=False,  # these images have 8 x 8 pixels
            clean_caption=False,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    where = "where the router goes; default a temporary folder"
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help=where)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        main(folder or temporary)
