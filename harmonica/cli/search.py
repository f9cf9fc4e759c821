"""`python -m harmonica search`: a cache schedule for a diffusers pipeline of the user's own."""

import ast

from harmonica.cli.command import out_folder, real, text, whole
from harmonica.errors import BadInput, check

DTYPES = ("float32", "bfloat16", "float16")


def add(commands):
    search = commands.add_parser(
        "search",
        help="search a cache schedule for any diffusers pipeline of your own, without images",
    )
    search.add_argument(
        "--model",
        required=True,
        type=text,
        metavar="PATH_OR_ID",
        help="folder or hub id of a diffusers pipeline",
    )
    search.add_argument(
        "--steps",
        required=True,
        nargs="+",
        type=whole(2, 10_000),
        metavar="T",
        help="number of denoising steps; several make one folder that serves each",
    )
    search.add_argument(
        "--cur",
        default=50.0,
        type=real(0, 100, ends=False),
        metavar="PERCENT",
        help="share of unit computations to skip; default 50",
    )
    search.add_argument(
        "--out",
        required=True,
        type=out_folder,
        metavar="DIR",
        help="folder for the schedule; a killed search goes on there",
    )
    search.add_argument(
        "--guidance", type=real(0, 1000), help="guidance scale; default the pipeline's"
    )
    search.add_argument(
        "--captions",
        type=text,
        metavar="FILE",
        help="text to search with, a caption a line; default 64 of our own",
    )
    search.add_argument(
        "--no-predict",
        action="store_true",
        help="skipped units reuse a feature; else they are predicted from two",
    )
    search.add_argument(
        "--images",
        type=whole(1, 65_536),
        default=48,
        help="how many the search looks at; default 48",
    )
    search.add_argument(
        "--batch", type=whole(1, 65_536), help="images at once; default as many as fit in memory"
    )
    search.add_argument(
        "--seed", type=whole(0, 2**32 - 1), default=0, help="of noise and directions; default 0"
    )
    search.add_argument(
        "--set",
        nargs="+",
        type=text,
        default=[],
        metavar="NAME=VALUE",
        help="more arguments of the pipeline's call, as height=512",
    )
    search.add_argument(
        "--device", type=text, help="cpu, cuda, cuda:1, ...; default a GPU if there is one"
    )
    search.add_argument(
        "--dtype", choices=DTYPES, help="of the weights; default float32 on a CPU, else bfloat16"
    )
    search.add_argument(
        "--offload",
        action="store_true",
        help="for models that hardly fit: weights and features in CPU memory, one image at a time",
    )
    search.add_argument(
        "--dry-run", action="store_true", help="only measure and print what it would cost"
    )
    search.set_defaults(function=_search)


def _search(arguments):
    from harmonica.cli.train import chosen_device
    from harmonica.weights.prompts import read_captions

    captions = arguments.captions and read_captions(arguments.captions)  # before anything is loaded
    options, device = settings(arguments.set), chosen_device(arguments.device)
    right = "the number of steps is what --steps says"
    check("num_inference_steps" not in options, "set", "num_inference_steps", right)
    pipe = load(arguments.model, device, arguments.dtype, arguments.offload)
    several = len(set(arguments.steps)) > 1
    for steps in sorted(set(arguments.steps)):
        out = f"{arguments.out}/{steps}" if several else arguments.out
        found = one(pipe, arguments, captions, steps, out, options)
        if found is not None:
            print(shown(found, steps, out))
    if not arguments.dry_run:
        guidance = "" if arguments.guidance is None else f", guidance_scale={arguments.guidance:g}"
        print(
            f"use        with harmonica.apply(pipe, {arguments.out!r}): "
            f"pipe(..., num_inference_steps={sorted(arguments.steps)[0]}{guidance})"
        )


def one(pipe, arguments, captions, steps, out, options):
    """The schedule of one number of steps."""
    from harmonica.pipeline.search import search

    return search(
        pipe,
        captions,
        steps=steps,
        cur=arguments.cur,
        guidance=arguments.guidance,
        images=arguments.images,
        predict=not arguments.no_predict,
        seed=arguments.seed,
        out=out,
        batch=arguments.batch,
        offload=arguments.offload,
        dry_run=arguments.dry_run,
        **options,
    )


def shown(schedule, steps, out):
    """What was found, with its error on held-back noise."""
    error = schedule.about["error"]
    rows = [f"{name} {value:.3g}" for name, value in error["of"].items()]
    return (
        f"wrote      {out}: T = {steps}, {schedule.cur_percent:.4g} % skipped\n"
        f"error      of {error['images']} images on held-back noise: {'; '.join(rows)}"
    )


def load(source, device, dtype=None, offload=False):
    """A whole pipeline on a device. BadInput where there is none."""
    import torch
    from diffusers import DiffusionPipeline

    from harmonica.pipeline.loading import from_pretrained

    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    pipe = from_pretrained(DiffusionPipeline.from_pretrained, source, dtype=getattr(torch, dtype))
    if offload and device != "cpu":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def settings(words):
    """["height=512", ...] -> {"height": 512, ...}"""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and name.isidentifier()):
            raise BadInput(f"set: {word!r} is not possible; give NAME=VALUE, as height=512")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found
