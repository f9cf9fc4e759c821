"""`python -m harmonica router info|import|export`: describe router files of any known format, and
convert them.
"""

import json

from harmonica.cli.command import out_file, real, text, whole

KNOWN = "a .safetensors, .pt or SmoothCache .json file, or a folder that train wrote"


def add(commands):
    verb = commands.add_parser("router", help="look at and convert router files")
    routers = verb.add_subparsers(metavar="ACTION", required=True)
    info = routers.add_parser(
        "info", help="T, N, CUR and the heat map of a router file of any known format"
    )
    info.add_argument("file", type=text, help=KNOWN)
    info.add_argument("--json", action="store_true", help="print the figures as JSON")
    info.add_argument(
        "--plot",
        metavar="FILE.png",
        type=out_file(".png", ".pdf"),
        help="draw scores and mask, steps x blocks (FILE.pdf: as PDF)",
    )
    info.set_defaults(function=_info)
    for name, description in (
        ("import", "published .pt or SmoothCache .json -> this package's .safetensors"),
        ("export", "any known format -> .pt or SmoothCache .json, by the ending of OUT"),
    ):
        convert = routers.add_parser(name, help=description)
        convert.add_argument("file", type=text, help=KNOWN)
        convert.add_argument(
            "out",
            type=out_file(".safetensors", ".pt", ".json"),
            help="its ending names the format",
        )
        convert.set_defaults(function=_convert)
        _reading_options(convert)
    _reading_options(info)


def _reading_options(command):
    command.add_argument(
        "--cur",
        type=real(0, 100),
        metavar="PERCENT",
        help="the schedule that reuses this share; default what the router was trained for, else "
        "what its threshold gives",
    )
    command.add_argument(
        "--tau", type=real(0, 1, ends=False), help="threshold; default the file's own, else 0.1"
    )
    command.add_argument(
        "--blocks", type=whole(1, 100_000), help="number of blocks, for SmoothCache files by kind"
    )
    command.add_argument(
        "--kinds",
        nargs="+",
        type=text,
        metavar="KIND",
        help="kinds of blocks, for files that do not say them; default attn mlp, or attn cross mlp "
        "where one is named",
    )


def _read(arguments):
    from harmonica.weights.formats import read

    return read(
        arguments.file, tau=arguments.tau, num_blocks=arguments.blocks, kinds=arguments.kinds
    )


def _info(arguments):
    router = _read(arguments)
    values = figures(router, arguments.cur)
    if arguments.plot:
        from harmonica.plot import heat_map

        heat_map(router, arguments.plot, arguments.cur)
    if arguments.json:
        print(json.dumps(values, indent=1))
    else:
        for key, value in values.items():
            print(f"{key:19} {value}")
        if arguments.plot:
            print(f"heat map            {arguments.plot}")


def figures(router, cur=None):
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

    router = _read(arguments)
    write(arguments.out, router, arguments.cur)
    print(f"wrote {arguments.out}: {router.schedule(arguments.cur).cur_percent:.2f} % reused")
