"""Apply a schedule of your own: a mask of T steps x N blocks that says what is computed.

    .venv/bin/python examples/own_schedule.py        (5 seconds)

Three masks are compared on PixArt-digits, at 10 steps: FORA, which computes everything at every
second step; one that computes as much, but at the last steps; and one that reuses only
cross-attention.
"""

import argparse
from pathlib import Path

import torch
from diffusers import PixArtAlphaPipeline

import harmonica
from harmonica.method import masks, router

PIPELINE = Path(__file__).resolve().parent.parent / "harmonica/digits/weights/pixart-digits-s0"
KINDS = ("attn", "cross", "mlp")  # the kinds of blocks in the columns, repeated for each layer
T, N = 10, 12


def three_masks():
    """{name: bool (T, N)}. Row 0 is the first step and must compute everything; True = compute."""
    late = masks.full(T, N)
    late[1 : 1 + T // 2] = False

    no_cross = masks.full(T, N)
    no_cross[1:, KINDS.index("cross") :: len(KINDS)] = False
    return {"FORA": masks.fora(T, N, 2), "late steps": late, "no cross-attention": no_cross}


def sample(pipe):
    """16 images from the same noise at every call, (16, 1, 8, 8) between 0 and 1."""
    return pipe(
        ["a handwritten three", "the digit 7"] * 8,
        num_inference_steps=T,
        guidance_scale=1.0,
        use_resolution_binning=False,  # these images have 8 x 8 pixels
        clean_caption=False,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images


def main():
    pipe = PixArtAlphaPipeline.from_pretrained(PIPELINE)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler.set_timesteps(T)
    timesteps = tuple(pipe.scheduler.timesteps.tolist())  # those that the mask is made for
    uncached = sample(pipe)
    for name, keep in three_masks().items():
        mask_router = router.from_keep(keep, timesteps=timesteps, about={"kinds": KINDS})
        # mask_router.save("mine.safetensors") keeps it
        with harmonica.apply_router(pipe, mask_router):
            error = (sample(pipe) - uncached).square().mean()
        reused = masks.cur_percent(keep)
        print(f"{name:20} {reused:.0f} % reused, mean squared difference {error:.2g}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n\n")[0]).parse_args()
    main()
