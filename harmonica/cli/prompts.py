"""`python -m harmonica prompts prepare CAPTIONS`: text embeddings of a pipeline, computed once and
kept on disk.
"""

from pathlib import Path


def add(commands):
    verb = commands.add_parser("prompts", help="captions as text embeddings")
    actions = verb.add_subparsers(metavar="ACTION", required=True)
    prepare = actions.add_parser(
        "prepare", help="embed captions once; killed, the same command goes on"
    )
    prepare.add_argument(
        "captions", metavar="CAPTIONS", help="a text file, one caption on each line"
    )
    prepare.add_argument("--model", required=True, help="a PixArt pipeline: folder or hub id")
    prepare.add_argument(
        "--out",
        required=True,
        help="a folder; for Table 2 coco/alpha or coco/sigma in $HARMONICA_WEIGHTS",
    )
    prepare.set_defaults(function=_prepare)


def _prepare(arguments):
    import torch
    from tqdm import tqdm

    from harmonica import weights
    from harmonica.pipeline.loading import encoder, read_captions
    from harmonica.weights import prompts

    captions = read_captions(arguments.captions)
    encode = encoder(arguments.model, "cuda" if torch.cuda.is_available() else "cpu")
    about = {"captions_sha256": weights.sha256(arguments.captions), "pipeline": arguments.model}
    prompts.prepare(
        encode,
        captions,
        about,
        Path(arguments.out),
        progress=lambda parts: tqdm(parts, unit="part", disable=None),
    )
    print(f"the embeddings of {len(captions)} captions are in {arguments.out}")
