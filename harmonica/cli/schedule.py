"""`python -m harmonica schedule info|plot|export`: describe, draw or convert cache schedules of any
known format.
"""

import json

from harmonica.cli.command import out_file, real, text

KNOWN = (
    "a file or folder of a schedule or router: .safetensors, .pt, SmoothCache's .json, or what "
    "search or train wrote"
)


def add(commands):
    verb = commands.add_parser("schedule", help="look at cache schedules and convert them")
    actions = verb.add_subparsers(metavar="ACTION", required=True)
    info = actions.add_parser("info", help="what a schedule is of, and how good it was found to be")
    info.add_argument("--json", action="store_true", help="print it as JSON")
    info.set_defaults(function=_info)
    plot = actions.add_parser("plot", help="draw what is computed, reused and predicted")
    plot.set_defaults(function=_plot)
    export = actions.add_parser("export", help="its mask in another format, by the ending of OUT")
    export.set_defaults(function=_export)
    for action in (info, plot, export):
        action.add_argument("file", type=text, help=KNOWN)
        action.add_argument(
            "--cur", type=real(0, 100), metavar="PERCENT", help="of a router: the share to reuse"
        )
    plot.add_argument("out", type=out_file(".png", ".pdf"), help="FILE.png or FILE.pdf")
    export.add_argument("out", type=out_file(".safetensors", ".pt", ".json"))


def _read(arguments):
    from harmonica.pipeline.fitting import read_schedule

    return read_schedule(arguments.file, cur=arguments.cur)


def _info(arguments):
    values = figures(_read(arguments))
    if arguments.json:
        print(json.dumps(values, indent=1))
        return
    for key, value in values.items():
        print(f"{key:16} {value}")


def figures(schedule):
    """The figures that `schedule info` prints."""
    about, error = schedule.about, schedule.about.get("error", {}).get("of", {})
    skipped = int((~schedule.keep).sum())
    keys = ("method", "model", "model_sha256", "transformer", "sampler", "guidance")
    return {
        "T": schedule.num_steps,
        "N": schedule.num_blocks,
        "computed": int(schedule.keep.sum()),
        "skipped": skipped,
        "skipped_percent": round(schedule.cur_percent, 2),
        "predicted": len(schedule.weights),
        "features_held": schedule.features,
        **{key: about[key] for key in keys if about.get(key) is not None},
        "timesteps": schedule.timesteps and ", ".join(f"{t:g}" for t in schedule.timesteps),
        **{f"error, {name}": float(f"{value:.4g}") for name, value in error.items()},
    }


def _plot(arguments):
    from harmonica.plot import schedule_map

    schedule_map(_read(arguments), arguments.out)
    print(f"wrote {arguments.out}")


def _export(arguments):
    from harmonica.errors import check
    from harmonica.method.router import from_keep
    from harmonica.weights.formats import write

    schedule = _read(arguments)
    if arguments.out.endswith(".safetensors"):
        schedule.save(arguments.out)
    else:
        right = "only .safetensors holds predictions"
        check(not schedule.weights, "out", arguments.out, right)
        kinds = schedule.about.get("kinds")
        about = {"kinds": kinds} if kinds else {}
        router = from_keep(schedule.keep, timesteps=schedule.timesteps, about=about)
        write(arguments.out, router)
    print(f"wrote {arguments.out}: {schedule.cur_percent:.2f} % skipped")
