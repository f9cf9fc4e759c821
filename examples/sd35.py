"""Stable Diffusion 3.5 medium: search a schedule once, apply it, share it.

    .venv/bin/python examples/sd35.py           on a GPU
    .venv/bin/python examples/sd35.py --tiny    a few random weights, seconds, no download

With dry_run=True the search only prints what it would cost. `hf upload you/sd35-50 sd35-50` shares
the folder, and harmonica.apply(pipe, "you/sd35-50") uses it anywhere.
"""

import torch
from diffusers import StableDiffusion3Pipeline
from tiny import is_tiny, tiny

import harmonica

GUIDANCE, PROMPT = 4.5, "a red fox asleep in fresh snow"


def main(pipe, steps, size, search):
    harmonica.search(pipe, steps=steps, cur=50, guidance=GUIDANCE, **search, **size)
    with harmonica.apply(pipe, search["out"]) as applied:
        images = pipe(PROMPT, num_inference_steps=steps, guidance_scale=GUIDANCE, **size).images
    print(f"{applied.keep.numel()} units, {int(applied.keep.sum())} computed")
    return images


if __name__ == "__main__":
    if is_tiny(__doc__):
        main(*tiny("SD3"))
    else:
        pipe = StableDiffusion3Pipeline.from_pretrained(
            "stabilityai/stable-diffusion-3.5-medium", dtype=torch.bfloat16
        )
        pipe.to("cuda")
        size, search = {"height": 1024, "width": 1024}, {"out": "sd35-50", "offload": True}
        images = main(pipe, 28, size, search)
        images[0].save("fox.png")
