"""FLUX.1-dev: search a schedule once, apply it, share it.

    .venv/bin/python examples/flux.py           on a GPU
    .venv/bin/python examples/flux.py --tiny    a few random weights, seconds, no download

With dry_run=True the search only prints what it would cost. `hf upload you/flux-50 flux-50` shares
the folder, and harmonica.apply(pipe, "you/flux-50") uses it anywhere.
"""

import torch
from diffusers import FluxPipeline
from tiny import is_tiny, tiny

import harmonica

GUIDANCE, PROMPT = 3.5, "a red fox asleep in fresh snow"


def main(pipe, steps, size, search):
    harmonica.search(pipe, steps=steps, cur=50, guidance=GUIDANCE, **search, **size)
    with harmonica.apply(pipe, search["out"]) as applied:
        images = pipe(PROMPT, num_inference_steps=steps, guidance_scale=GUIDANCE, **size).images
    print(f"{applied.keep.numel()} units, {int(applied.keep.sum())} computed")
    return images


if __name__ == "__main__":
    if is_tiny(__doc__):
        main(*tiny("Flux"))
    else:
        pipe = FluxPipeline.from_pretrained("black-forest-labs/FLUX.1-dev", dtype=torch.bfloat16)
        pipe.enable_model_cpu_offload()
        size, search = {"height": 1024, "width": 1024}, {"out": "flux-50", "offload": True}
        images = main(pipe, 28, size, search)
        images[0].save("fox.png")
