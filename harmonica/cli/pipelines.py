"""What `search` and `train` have in common: the options that name a user's pipeline, its call and
the folder of the result; loading that pipeline.
"""

import ast

from harmonica.cli.command import out_folder, real, text, whole
from harmonica.errors import BadInput, check

BINNED = (32, 64, 128)  # latent sides for which PixArt's pipelines have a table of image sizes
DTYPES = ("float32", "bfloat16", "float16")


def add_cur(verb, default=50.0, more="", **options):
    """Add --cur. more: what its help says further; options: further ones of its own."""
    verb.add_argument(
        "--cur",
        default=default,
        type=real(0, 100, ends=False),
        metavar="PERCENT",
        help="percentage of all unit computations (attentions and feed-forwards, over all steps) "
        f"to skip; default 50{more}",
        **options,
    )


def add_options(verb, made, guidance):
    """Add the options of a verb. made: what it makes. guidance: the lowest allowed scale."""
    verb.add_argument(
        "--model",
        required=True,
        type=text,
        metavar="PATH_OR_ID",
        help="a diffusers pipeline: its folder or its id on the Hugging Face hub",
    )
    verb.add_argument(
        "--out",
        type=out_folder,
        metavar="DIR",
        help=f"folder for the {made}; needed unless --dry-run is given. If the command is killed, "
        "the same command continues there",
    )
    verb.add_argument(
        "--seed", type=whole(0, 2**32 - 1), default=0, help="seed of all random numbers; default 0"
    )
    verb.add_argument(
        "--guidance", type=real(guidance, 1000), help="guidance scale; default the pipeline's own"
    )
    verb.add_argument(
        "--captions",
        type=text,
        metavar="FILE",
        help="a text file with one caption on each line; default 64 captions of our own or, for a "
        "DiT, all classes",
    )
    verb.add_argument(
        "--set",
        nargs="+",
        type=text,
        default=[],
        metavar="NAME=VALUE",
        help="further arguments for the pipeline's call, such as height=512",
    )
    verb.add_argument(
        "--device", type=text, help="cpu, cuda, cuda:1, ...; default a GPU if there is one"
    )
    verb.add_argument(
        "--dtype",
        choices=DTYPES,
        help="dtype of the weights; default float32 on a CPU, otherwise bfloat16",
    )
    verb.add_argument(
        "--offload",
        action="store_true",
        help="for models that barely fit: keeps weights in CPU memory and checkpoints the "
        "transformer's blocks; a search also keeps features in CPU memory and processes one "
        "image at a time",
    )
    verb.add_argument(
        "--dry-run",
        action="store_true",
        help="only estimate and print the time and memory that it would take",
    )


def check_out(arguments):
    """BadInput where there is neither a folder for the result nor a dry run."""
    given = arguments.out is not None or arguments.dry_run
    check(given, "out", None, "give --out DIR, or --dry-run for the cost alone")


def chosen_device(name):
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.empty(0, device=name).device
    except Exception:  # torch raises almost anything for devices that it was not built for
        device = None
    right = "choose cpu, or a GPU that is here"
    check(device and device.type in ("cpu", "cuda", "mps"), "device", name, right)
    return str(device)


def load(source, device, dtype=None, offload=False):
    """Load a whole pipeline onto a device. BadInput where there is none at `source`."""
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


def shared(arguments):
    """The arguments that harmonica.search and train take in the same form, as the options give
    them.
    """
    names = ("guidance", "batch", "seed", "offload", "dry_run")
    return {name: getattr(arguments, name) for name in names}


def call_words(pipe, steps, guidance, options):
    """The call that a result was made for, as one would write it. steps: text; guidance: None for
    the pipeline's default; options: further arguments, by name.
    """
    from harmonica.pipeline.calls import guidance_name, parameters_of

    parameters = parameters_of(pipe)
    given = {} if guidance is None else {guidance_name(pipe, parameters): guidance}
    # PixArt's pipelines look up a table of sizes, which exists for some models only
    binned = getattr(pipe.transformer.config, "sample_size", None) in BINNED
    if "use_resolution_binning" in parameters and not binned:
        given["use_resolution_binning"] = False
    further = "".join(f", {name}={value!r}" for name, value in (given | options).items())
    return f"pipe(..., num_inference_steps={steps}{further})"


def settings(assignments):
    """["height=512", ...] -> {"height": 512, ...}"""
    arguments = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (equals and name.isidentifier()):
            raise BadInput(f"set: {assignment!r} is not possible; give NAME=VALUE, as height=512")
        right = "the number of steps is what --steps says"
        check(name != "num_inference_steps", "set", name, right)
        check(name not in arguments, "set", assignment, f"{name} is given twice")
        try:
            arguments[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[name] = value
    return arguments
