"""Wan 2.1, text to video: search a schedule once, apply it, share it.

    .venv/bin/python examples/wan.py           on a GPU
    .venv/bin/python examples/wan.py --tiny    a few random weights, seconds, no download

With dry_run=True the search only prints what it would cost. `hf upload you/wan-50 wan-50` shares
the folder, and harmonica.apply(pipe, "you/wan-50") uses it anywhere.
"""

import torch
from diffusers import WanPipeline
from diffusers.utils import export_to_video
from tiny import is_tiny, tiny

import harmonica

GUIDANCE, PROMPT = 5.0, "a red fox asleep in fresh snow"


def main(pipe, steps, size, search):
    harmonica.search(pipe, steps=steps, cur=50, guidance=GUIDANCE, **search, **size)
    with harmonica.apply(pipe, search["out"]) as applied:
        frames = pipe(PROMPT, num_inference_steps=steps, guidance_scale=GUIDANCE, **size).frames
    print(f"{applied.keep.numel()} units, {int(applied.keep.sum())} computed")
    return frames


if __name__ == "__main__":
    if is_tiny(__doc__):
        main(*tiny("Wan"))
    else:
        pipe = WanPipeline.from_pretrained("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", dtype=torch.bfloat16)
        pipe.to("cuda")
        size, search = (
            {"height": 480, "width": 832, "num_frames": 33},
            {"out": "wan-50", "offload": True},
        )
        video = main(pipe, 30, size, search)[0]
        export_to_video(video, "fox.mp4")
