"""`python -m harmonica search`: search a cache schedule for a user's own diffusers pipeline."""

from harmonica.cli.command import whole
from harmonica.cli.pipelines import add_options, chosen_device, load, settings


def add(commands):
    search = commands.add_parser(
        "search",
        help="search a cache schedule for any diffusers pipeline of your own, without images",
    )
    add_options(search, "schedule", guidance=0)
    search.add_argument(
        "--steps",
        required=True,
        nargs="+",
        type=whole(2, 10_000),
        metavar="T",
        help="number of denoising steps; several make one folder that serves each",
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
    search.set_defaults(function=_search)


def _search(arguments):
    from harmonica.weights.prompts import read_captions

    captions = arguments.captions and read_captions(arguments.captions)  # before anything is loaded
    options = settings(arguments.set)
    device = chosen_device(arguments.device)
    pipe = load(arguments.model, device, arguments.dtype, arguments.offload)
    several = len(set(arguments.steps)) > 1
    for steps in sorted(set(arguments.steps)):
        out = f"{arguments.out}/{steps}" if several else arguments.out
        schedule = one(pipe, arguments, captions, steps, out, options)
        if schedule is not None:
            print(shown(schedule, steps, out))
    if not arguments.dry_run:
        guidance = "" if arguments.guidance is None else f", guidance_scale={arguments.guidance:g}"
        print(
            f"use        with harmonica.apply(pipe, {arguments.out!r}): "
            f"pipe(..., num_inference_steps={sorted(arguments.steps)[0]}{guidance})"
        )


def one(pipe, arguments, captions, steps, out, options):
    """Search the schedule for one number of steps; None for a dry run."""
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
    """The lines that report a schedule and its error on held-back noise."""
    error = schedule.about["error"]
    rows = [f"{name} {value:.3g}" for name, value in error["of"].items()]
    return (
        f"wrote      {out}: T = {steps}, {schedule.cur_percent:.4g} % skipped\n"
        f"error      of {error['images']} images on held-back noise: {'; '.join(rows)}"
    )
