"""`python -m harmonica prompts prepare CAPTIONS`: compute the text embeddings of captions by a
pipeline, once, and keep them on disk.
"""

from pathlib import Path

from harmonica.cli.command import out_folder, text


def add(commands):
    verb = commands.add_parser("prompts", help="captions as text embeddings")
    actions = verb.add_subparsers(metavar="ACTION", required=True)
    prepare = actions.add_parser(
        "prepare", help="embed captions once; killed, the same command goes on"
    )
    prepare.add_argument(
        "captions", metavar="CAPTIONS", type=text, help="a text file, one caption on each line"
    )
    prepare.add_argument(
        "--model", required=True, type=text, help="a PixArt pipeline: folder or hub id"
    )
    prepare.add_argument(
        "--out",
        required=True,
        type=out_folder,
        help="a folder; for Table 2 coco/alpha or coco/sigma in $HARMONICA_WEIGHTS",
    )
    prepare.set_defaults(function=_prepare)


def _prepare(arguments):
    import torch
    from tqdm import tqdm

    from harmonica import files
    from harmonica.pipeline.loading import encoder
    from harmonica.weights import prompts

    captions = prompts.read_captions(arguments.captions)
    out = Path(arguments.out)
    about = {"captions_sha256": files.sha256(arguments.captions), "pipeline": arguments.model}
    if not prompts.is_whole(about, out):
        encode = encoder(arguments.model, "cuda" if torch.cuda.is_available() else "cpu")
        prompts.prepare(
            encode,
            captions,
            about,
            out,
            progress=lambda parts: tqdm(parts, unit="part", disable=None),
        )
    print(f"the embeddings of {len(captions)} captions are in {out}")
