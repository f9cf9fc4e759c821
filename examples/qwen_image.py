"""Qwen-Image: search a schedule once, apply it, share it.

    .venv/bin/python examples/qwen_image.py           on a GPU
    .venv/bin/python examples/qwen_image.py --tiny    a few random weights, seconds, no download

With dry_run=True the search only prints what it would cost. `hf upload you/qwen-image-50
qwen-image-50` shares the folder, and harmonica.apply(pipe, "you/qwen-image-50") uses it anywhere.
"""

import torch
from diffusers import QwenImagePipeline
from tiny import is_tiny, tiny

import harmonica

GUIDANCE, PROMPT = 4.0, "a red fox asleep in fresh snow"


def main(pipe, steps, size, search):
    harmonica.search(pipe, steps=steps, cur=50, guidance=GUIDANCE, **search, **size)
    with harmonica.apply(pipe, search["out"]) as applied:
        images = pipe(
            PROMPT,
            negative_prompt=" ",
            num_inference_steps=steps,
            true_cfg_scale=GUIDANCE,
            **size,
        ).images
    print(f"{applied.keep.numel()} units, {int(applied.keep.sum())} computed")
    return images


if __name__ == "__main__":
    if is_tiny(__doc__):
        main(*tiny("Qwen-Image"))
    else:
        pipe = QwenImagePipeline.from_pretrained("Qwen/Qwen-Image", dtype=torch.bfloat16)
        pipe.enable_model_cpu_offload()
        size, search = {"height": 1024, "width": 1024}, {"out": "qwen-image-50", "offload": True}
        images = main(pipe, 50, size, search)
        images[0].save("fox.png")
