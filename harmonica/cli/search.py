"""`python -m harmonica search`: search a cache schedule for a user's own diffusers pipeline."""

from pathlib import Path

from harmonica.cli.command import whole
from harmonica.cli.pipelines import (
    add_cur,
    add_options,
    call_words,
    check_out,
    chosen_device,
    load,
    settings,
    shared,
)


def add(commands):
    search = commands.add_parser(
        "search",
        help="search for a cache schedule for a diffusers pipeline of your own; needs no images",
    )
    add_options(search, "schedule", guidance=0)
    several = "; if several are given, the folder holds a folder for each"
    add_cur(search, default=[50.0], more=several, nargs="+")
    search.add_argument(
        "--steps",
        required=True,
        nargs="+",
        type=whole(2, 10_000),
        metavar="T",
        help="number of denoising steps; if several are given, the folder holds a schedule for "
        "each",
    )
    search.add_argument(
        "--no-predict",
        action="store_true",
        help="skipped units reuse their last feature, instead of being predicted from their last "
        "two",
    )
    search.add_argument(
        "--no-refit",
        action="store_true",
        help="leave out the last part, which refits the weights of the predictions to the error of "
        "the final image",
    )
    search.add_argument(
        "--images",
        type=whole(1, 65_536),
        default=48,
        help="how many images the search uses; default 48",
    )
    search.add_argument(
        "--batch",
        type=whole(1, 65_536),
        help="how many images are processed at once; default as many as fit in memory",
    )
    search.set_defaults(function=_search)


def _search(arguments):
    from harmonica.pipeline.folders import check_free, folder_names
    from harmonica.pipeline.search import search
    from harmonica.weights.prompts import read_captions

    captions = arguments.captions and read_captions(arguments.captions)  # before anything is loaded
    options = settings(arguments.set)
    check_out(arguments)
    curs, all_steps = sorted(set(arguments.cur)), sorted(set(arguments.steps))
    names = list(folder_names(curs, len(curs) > 1).values())
    outs = dict.fromkeys(all_steps, arguments.out)
    if arguments.out:
        root = Path(arguments.out)
        if len(all_steps) > 1:
            outs = {steps: str(root / str(steps)) for steps in all_steps}
            of_steps = [child.name for child in root.glob("*") if child.name.isdigit()]
            check_free(root, of_steps, begun=True)
        for out in outs.values():
            check_free(Path(out), names)
    device = chosen_device(arguments.device)
    pipe = load(arguments.model, device, arguments.dtype, arguments.offload)
    for steps, out in outs.items():
        search(
            pipe,
            captions,
            steps=steps,
            cur=curs if len(curs) > 1 else curs[0],
            images=arguments.images,
            predict=not arguments.no_predict,
            refit=not arguments.no_refit,
            out=out,
            **shared(arguments),
            **options,
        )
    if not arguments.dry_run:
        steps = str(all_steps[0])
        places = [str(Path(out, name)) for out in outs.values() for name in names]
        if len(curs) == 1:  # a folder may hold one schedule for each number of steps
            places, steps = [arguments.out], " or ".join(map(str, all_steps))
        call = call_words(pipe, steps, arguments.guidance, options)
        others = f"  (or {', '.join(places[1:])})" if places[1:] else ""
        print(f"use        with harmonica.apply(pipe, {places[0]!r}): {call}{others}")
