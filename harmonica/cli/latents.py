"""`python -m harmonica latents prepare IMAGES`: ImageNet as latents, for the training of
Learning-to-Cache.
"""

from pathlib import Path


def add(commands):
    latents = commands.add_parser("latents", help="training images as latents")
    actions = latents.add_subparsers(metavar="ACTION", required=True)
    prepare = actions.add_parser(
        "prepare", help="encode class folders or tars once; killed, the same command goes on"
    )
    prepare.add_argument(
        "images", metavar="IMAGES", help="a folder of class folders, of class tars, or of shards"
    )
    prepare.add_argument("--size", type=int, default=256, help="pixels, 256 (default) or 512")
    prepare.add_argument(
        "--out", help="default: latents-SIZE in $HARMONICA_WEIGHTS, where training looks for them"
    )
    prepare.add_argument(
        "--vae",
        default="stabilityai/sd-vae-ft-ema",
        help="the default, or stabilityai/sd-vae-ft-mse",
    )
    prepare.add_argument(
        "--mode", default="sample", help="sample of the posterior (default, as DiT trained) or mean"
    )
    prepare.add_argument("--batch", type=int, default=32, help="images read at a time")
    prepare.set_defaults(function=_prepare)


def _prepare(arguments):
    from tqdm import tqdm

    from harmonica import weights
    from harmonica.errors import check
    from harmonica.weights import latents
    from harmonica.weights.specs import FileSpec
    from harmonica.weights.vae import Vae

    check(
        arguments.size >= 8 and arguments.size % 8 == 0,
        "size",
        arguments.size,
        "give a multiple of 8 pixels",
    )
    check(arguments.batch >= 1, "batch", arguments.batch, "it must be at least 1")
    vae = Vae(
        FileSpec(name=arguments.vae, sha256=weights.sha256(weights.find(arguments.vae, "vae")))
    )
    out = Path(arguments.out or latents.latents_folder(arguments.size // latents.FACTOR))
    about = latents.prepare(
        arguments.images,
        out,
        vae,
        size=arguments.size,
        mode=arguments.mode,
        batch=arguments.batch,
        progress=lambda parts: tqdm(parts, unit="part", disable=None),
    )
    print(f"{about['num_images']} images of {about['num_classes']} classes are in {out}")
