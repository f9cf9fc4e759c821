"""`python -m harmonica latents prepare IMAGES`: encode ImageNet to latents, for the training of
Learning-to-Cache.
"""

import sys
from pathlib import Path

from harmonica.cli.command import out_folder, text, whole


def add(commands):
    latents = commands.add_parser("latents", help="training images as latents")
    actions = latents.add_subparsers(metavar="ACTION", required=True)
    prepare = actions.add_parser(
        "prepare", help="encode class folders or tars once; killed, the same command goes on"
    )
    prepare.add_argument(
        "images",
        metavar="IMAGES",
        type=text,
        help="a folder of class folders, of class tars, or of shards",
    )
    prepare.add_argument(
        "--size",
        type=whole(8, 4096, multiple_of=8),
        default=256,
        help="pixels, 256 (default) or 512",
    )
    prepare.add_argument(
        "--out",
        type=out_folder,
        help="default: latents-SIZE in $HARMONICA_WEIGHTS, where training looks for them",
    )
    prepare.add_argument(
        "--vae",
        type=text,
        default="stabilityai/sd-vae-ft-ema",
        help="the default, or stabilityai/sd-vae-ft-mse",
    )
    prepare.add_argument(
        "--mode",
        choices=("sample", "mean"),
        default="sample",
        help="sample of the posterior (default, as DiT trained) or mean",
    )
    prepare.add_argument(
        "--batch", type=whole(1, 65_536), default=32, help="images read at a time; default 32"
    )
    prepare.set_defaults(function=_prepare)


def _prepare(arguments):
    from tqdm import tqdm

    from harmonica import weights
    from harmonica.weights import latents, sources
    from harmonica.weights.specs import FileSpec
    from harmonica.weights.vae import Vae

    vae = Vae(
        FileSpec(name=arguments.vae, sha256=weights.sha256(weights.find(arguments.vae, "vae")))
    )
    images, left_out = sources.below(arguments.images)
    if left_out:
        print(f"note: {left_out}", file=sys.stderr)
    out = Path(arguments.out or latents.latents_folder(arguments.size // latents.FACTOR))
    about = latents.prepare(
        images,
        out,
        vae,
        size=arguments.size,
        mode=arguments.mode,
        batch=arguments.batch,
        progress=lambda parts: tqdm(parts, unit="part", disable=None),
    )
    print(f"{about['num_images']} images of {about['num_classes']} classes are in {out}")
