"""`python -m harmonica search`: search a cache schedule for a user's own diffusers pipeline."""

from pathlib import Path

from harmonica.cli.command import whole
from harmonica.cli.pipelines import (
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
    add_options(search, "schedule", guidance=0, curs="+")
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
    from harmonica.pipeline.search import check_free, folder_name, search
    from harmonica.weights.prompts import read_captions

    captions = arguments.captions and read_captions(arguments.captions)  # before anything is loaded
    options = settings(arguments.set)
    check_out(arguments)
    several, curs = len(set(arguments.steps)) > 1, sorted(set(arguments.cur))
    names = [folder_name(cur) for cur in curs] if len(curs) > 1 else [""]
    if arguments.out:
        out = Path(arguments.out)
        of_steps = [child.name for child in out.glob("*") if child.name.isdigit()]
        check_free(out, of_steps if several else names)
    device = chosen_device(arguments.device)
    pipe = load(arguments.model, device, arguments.dtype, arguments.offload)
    for steps in sorted(set(arguments.steps)):
        out = arguments.out
        search(
            pipe,
            captions,
            steps=steps,
            cur=curs if len(curs) > 1 else curs[0],
            images=arguments.images,
            predict=not arguments.no_predict,
            refit=not arguments.no_refit,
            out=f"{out}/{steps}" if out and several else out,
            **shared(arguments),
            **options,
        )
    if not arguments.dry_run:
        steps = " or ".join(map(str, sorted(set(arguments.steps))))
        call = call_words(pipe, steps, arguments.guidance, options)
        place = "/".join(filter(None, [arguments.out, "T" * (several and len(curs) > 1), names[0]]))
        others = f"  (or {', '.join(names[1:])})" if names[1:] else ""
        print(f"use        with harmonica.apply(pipe, {place!r}): {call}{others}")
