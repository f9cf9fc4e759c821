"""`python -m harmonica router info|import|export` and `schedule info|plot|export`: describe, draw
and convert routers and schedules of any known format.
"""

from pathlib import Path

from harmonica.cli.command import add_actions, out_file, real, show, text, whole
from harmonica.errors import check

ROUTERS = "a .safetensors, .pt or SmoothCache .json file, or a folder that train wrote"
SCHEDULES = (
    "a file or folder of a schedule or router: .safetensors, .pt, SmoothCache's .json, "
    "or what search or train wrote"
)
OUT = "the file to write; its ending decides the format"


def add(commands):
    actions = add_actions(commands, "router", "look at router files and convert them")
    info = _action(
        actions, "info", ROUTERS, "print T, N and CUR of a router file, or draw its heat map", _info
    )
    info.add_argument("--json", action="store_true", help="print the figures as JSON")
    info.add_argument(
        "--plot",
        metavar="FILE.png",
        type=out_file(".png", ".pdf"),
        help="draw the scores and the mask, steps x blocks, as PNG or (FILE.pdf) PDF",
    )
    description = "convert a published .pt or a SmoothCache .json to this package's .safetensors"
    imports = _action(actions, "import", ROUTERS, description, _convert)
    description = "convert any known format to .pt or SmoothCache's .json, by the ending of OUT"
    export = _action(actions, "export", ROUTERS, description, _convert)
    for convert in (imports, export):
        convert.add_argument("out", type=out_file(".safetensors", ".pt", ".json"), help=OUT)
    for action in (info, imports, export):
        action.add_argument(
            "--tau",
            type=real(0, 1, ends=False),
            help="threshold of the scores; default the file's own, otherwise 0.1",
        )

    actions = add_actions(commands, "schedule", "look at cache schedules and convert them")
    description = "print what a schedule was made for, and how good it was found to be"
    info = _action(actions, "info", SCHEDULES, description, _schedule_info)
    info.add_argument("--json", action="store_true", help="print it as JSON")
    description = "draw which entries are computed, reused and predicted"
    plot = _action(actions, "plot", SCHEDULES, description, _schedule_plot)
    plot.add_argument(
        "out", type=out_file(".png", ".pdf"), help="the picture to write, FILE.png or FILE.pdf"
    )
    description = "convert its mask to another format, by the ending of OUT"
    export = _action(actions, "export", SCHEDULES, description, _schedule_export)
    export.add_argument("out", type=out_file(".safetensors", ".pt", ".json"), help=OUT)


def _action(actions, name, known, description, function):
    action = actions.add_parser(name, help=description)
    action.add_argument("file", type=text, help=known)
    action.add_argument(
        "--cur",
        type=real(0, 100),
        metavar="PERCENT",
        help="for a router: take the schedule that reuses this percentage of the entries; default "
        "what it was trained for, otherwise what its threshold gives",
    )
    action.add_argument(
        "--blocks",
        type=whole(1, 100_000),
        help="number of blocks, for SmoothCache files that only name kinds of blocks",
    )
    action.add_argument(
        "--kinds",
        nargs="+",
        type=text,
        metavar="KIND",
        help="kinds of blocks in the order of the columns, for files that do not record them; "
        "default attn mlp, or attn cross mlp if the file names a cross",
    )
    action.set_defaults(function=function)
    return action


def _model(arguments):
    """What the options say of the model, for files that do not."""
    return {"num_blocks": arguments.blocks, "kinds": arguments.kinds}


def _read(arguments):
    from harmonica.weights.formats import read

    return read(arguments.file, tau=arguments.tau, **_model(arguments))


def _check_other(arguments):
    """BadInput where the file to write is the one that is read, which would lose what the new
    format does not hold.
    """
    source, out = Path(arguments.file), Path(arguments.out)
    read = [source, *source.glob("*")] if source.is_dir() else [source]
    same = out.exists() and any(path.exists() and out.samefile(path) for path in read)
    right = "it is read here, and writing it would lose what it holds; choose another name"
    check(not same, "out", arguments.out, right)


def _info(arguments):
    router = _read(arguments)
    values = router_figures(router, arguments.cur)
    if arguments.plot:
        from harmonica.plot import heat_map

        heat_map(router, arguments.plot, arguments.cur)
        values = values if arguments.json else {**values, "heat map": arguments.plot}
    show(values, arguments.json)


def router_figures(router, cur=None):
    """The figures that `router info` prints, for the schedule that would be applied; MAC_fraction
    only where the model is known.
    """
    from harmonica.lab.cost import mac_fraction
    from harmonica.method.masks import cur_percent

    keep = router.schedule(cur).keep
    fraction = mac_fraction(str(router.about.get("model")), keep)
    costs, trained = {}, {}
    if fraction is not None:
        costs = {"MAC_fraction": round(fraction, 4), "speedup_theoretical": round(1 / fraction, 3)}
    if router.cur_percent is not None:
        trained = {
            "trained_for_CUR": router.cur_percent,
            "CUR_of_scores_alone": round(cur_percent(router.keep()), 2),
        }
    return {
        "T": router.num_steps,
        "N": router.num_blocks,
        "computed": int(keep.sum()),
        "reused": int((~keep).sum()),
        "CUR_percent": round(cur_percent(keep), 2),
        **trained,
        "tau": router.tau,
        "distinct_rows": len({tuple(row) for row in keep.tolist()}),
        "format": router.about.get("format", "harmonica"),
        **{key: router.about[key] for key in ("model", "sampler") if key in router.about},
        **costs,
    }


def _convert(arguments):
    from harmonica.weights.formats import write

    _check_other(arguments)
    router = _read(arguments)
    write(arguments.out, router, arguments.cur)
    print(f"wrote {arguments.out}: {router.schedule(arguments.cur).cur_percent:.2f} % reused")


def _schedule_info(arguments):
    from harmonica.weights.formats import read_schedules

    by_steps = read_schedules(arguments.file, arguments.cur, **_model(arguments))
    values = {steps: schedule_figures(by_steps[steps]) for steps in sorted(by_steps)}
    if arguments.json:
        show(values if len(values) > 1 else next(iter(values.values())), as_json=True)
        return
    for number, figures in enumerate(values.values()):
        if number:
            print()
        show(figures)


def schedule_figures(schedule):
    """The figures that `schedule info` prints."""
    about, error = schedule.about, schedule.about.get("error", {}).get("of", {})
    keys = ("method", "model", "model_sha256", "transformer", "sampler", "guidance")
    return {
        "T": schedule.num_steps,
        "N": schedule.num_blocks,
        "computed": int(schedule.keep.sum()),
        "skipped": int((~schedule.keep).sum()),
        "skipped_percent": round(schedule.cur_percent, 2),
        "predicted": len(schedule.weights),
        "features_held": schedule.features,
        **{key: about[key] for key in keys if about.get(key) is not None},
        "timesteps": schedule.timesteps and ", ".join(f"{t:g}" for t in schedule.timesteps),
        **{f"error, {name}": float(f"{value:.4g}") for name, value in error.items()},
    }


def _read_schedule(arguments):
    from harmonica.weights.formats import read_schedule

    return read_schedule(arguments.file, arguments.cur, **_model(arguments))


def _schedule_plot(arguments):
    from harmonica.plot import schedule_map

    schedule_map(_read_schedule(arguments), arguments.out)
    print(f"wrote {arguments.out}")


def _schedule_export(arguments):
    from harmonica.method.router import from_keep
    from harmonica.weights.formats import write

    _check_other(arguments)
    schedule = _read_schedule(arguments)
    if arguments.out.endswith(".safetensors"):
        schedule.save(arguments.out)
    else:
        right = "only .safetensors holds predictions; a search with --no-predict makes none"
        check(not schedule.weights, "out", arguments.out, right)
        about = {key: schedule.about[key] for key in ("kinds", "units") if schedule.about.get(key)}
        router = from_keep(schedule.keep, timesteps=schedule.timesteps, about=about)
        write(arguments.out, router)
    print(f"wrote {arguments.out}: {schedule.cur_percent:.2f} % skipped")
