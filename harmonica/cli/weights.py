"""What the paper scale needs (harmonica/weights): `python -m harmonica weights check PATH`
describes a file of weights, `latents prepare IMAGES` encodes ImageNet for the training of
Learning-to-Cache, `prompts prepare CAPTIONS` embeds captions. What is prepared is kept on disk.
"""

import sys
from pathlib import Path

from harmonica.cli.command import add_actions, out_folder, show, text, whole


def add(commands):
    actions = add_actions(commands, "weights", "look at files of weights")
    check = actions.add_parser(
        "check", help="print a file's naming, numerics, sizes and sha256, and whether it is known"
    )
    check.add_argument(
        "path",
        type=text,
        help="a .pt or .safetensors file, a diffusers folder, or a name in $HARMONICA_WEIGHTS",
    )
    check.add_argument("--json", action="store_true", help="print it as JSON")
    check.set_defaults(function=_check)

    actions = add_actions(commands, "latents", "encode training images as latents")
    latents = actions.add_parser(
        "prepare",
        help="encode folders or tars of images once; if it is killed, the same command continues",
    )
    latents.add_argument(
        "images",
        metavar="IMAGES",
        type=text,
        help="a folder of class folders, of class tars, or of shards",
    )
    latents.add_argument(
        "--size",
        type=whole(8, 4096, multiple_of=8),
        default=256,
        help="side of the images in pixels, 256 (default) or 512",
    )
    latents.add_argument(
        "--out",
        type=out_folder,
        help="folder to write to; default latents-SIZE in $HARMONICA_WEIGHTS, where training looks",
    )
    latents.add_argument(
        "--vae",
        type=text,
        default="stabilityai/sd-vae-ft-ema",
        help="the VAE that encodes: the default, or stabilityai/sd-vae-ft-mse",
    )
    latents.set_defaults(function=_prepare_latents)

    actions = add_actions(commands, "prompts", "embed captions for PixArt")
    prompts = actions.add_parser(
        "prepare", help="embed captions once; if it is killed, the same command continues"
    )
    prompts.add_argument(
        "captions", metavar="CAPTIONS", type=text, help="a text file, one caption on each line"
    )
    prompts.add_argument(
        "--model", required=True, type=text, help="a PixArt pipeline: folder or hub id"
    )
    prompts.add_argument(
        "--out",
        required=True,
        type=out_folder,
        help="the folder to write to; Table 2 looks in coco/alpha or coco/sigma of "
        "$HARMONICA_WEIGHTS",
    )
    prompts.set_defaults(function=_prepare_prompts)


def _check(arguments):
    from harmonica.weights.checkpoints import describe

    show(describe(arguments.path), arguments.json)


def _prepare_latents(arguments):
    from harmonica import weights
    from harmonica.weights import class_folders, latents
    from harmonica.weights.specs import FileSpec
    from harmonica.weights.vae import Vae

    images, left_out = class_folders.below(arguments.images)
    vae = Vae(
        FileSpec(name=arguments.vae, sha256=weights.sha256(weights.find(arguments.vae, "vae")))
    )
    if left_out:
        print(f"note: {left_out}", file=sys.stderr)
    out = Path(arguments.out or weights.latents_folder(arguments.size // weights.FACTOR))
    about = latents.prepare(images, out, vae, size=arguments.size, progress=_parts)
    print(f"{about['num_images']} images of {about['num_classes']} classes are in {out}")


def _prepare_prompts(arguments):
    import torch

    from harmonica import files
    from harmonica.pipeline.loading import encoder
    from harmonica.weights import prompts

    captions = prompts.read_captions(arguments.captions)
    out = Path(arguments.out)
    about = {"captions_sha256": files.sha256(arguments.captions), "pipeline": arguments.model}
    if not prompts.is_whole(about, out):
        encode = encoder(arguments.model, "cuda" if torch.cuda.is_available() else "cpu")
        prompts.prepare(encode, captions, about, out, progress=_parts)
    print(f"the embeddings of {len(captions)} captions are in {out}")


def _parts(parts):
    from tqdm import tqdm

    return tqdm(parts, unit="part", disable=None)
