"""`python -m harmonica router info|import|export`: look at router files of any known format and
convert them.
"""

import json

KNOWN = "a .safetensors, .pt or SmoothCache .json file, or a folder that train wrote"


def add(commands):
    verb = commands.add_parser("router", help="look at and convert router files")
    routers = verb.add_subparsers(metavar="ACTION", required=True)
    info = routers.add_parser(
        "info", help="T, N, CUR and the heat map of a router file of any known format"
    )
    info.add_argument("file", help=KNOWN)
    info.add_argument("--json", action="store_true", help="print the figures as JSON")
    info.add_argument(
        "--plot", metavar="FILE.png", help="draw scores and mask, steps x blocks (FILE.pdf: as PDF)"
    )
    info.set_defaults(function=_router_info)
    for name, text in (
        ("import", "published .pt or SmoothCache .json -> this package's .safetensors"),
        ("export", "any known format -> .pt or SmoothCache .json, by the ending of OUT"),
    ):
        convert = routers.add_parser(name, help=text)
        convert.add_argument("file", help=KNOWN)
        convert.add_argument("out", help="its ending names the format")
        convert.set_defaults(function=_router_convert)
        _reading_options(convert)
    _reading_options(info)


def _reading_options(command):
    command.add_argument(
        "--tau", type=float, default=None, help="threshold; default the file's own, else 0.1"
    )
    command.add_argument(
        "--blocks", type=int, default=None, help="number of blocks, for SmoothCache files by kind"
    )
    command.add_argument(
        "--kinds",
        nargs="+",
        default=None,
        metavar="KIND",
        help="kinds of blocks in SmoothCache files; default attn mlp, or attn cross mlp where one is named",
    )


def _router_info(arguments):
    from harmonica.method.router import info
    from harmonica.weights.formats import read

    router = read(
        arguments.file, tau=arguments.tau, num_blocks=arguments.blocks, kinds=arguments.kinds
    )
    figures = info(router)
    if arguments.plot:
        from harmonica.plot import heat_map

        heat_map(router, arguments.plot)
    if arguments.json:
        print(json.dumps(figures, indent=1))
    else:
        for key, value in figures.items():
            print(f"{key:16} {value}")
        if arguments.plot:
            print(f"heat map         {arguments.plot}")


def _router_convert(arguments):
    from harmonica.weights.formats import read, write

    router = read(
        arguments.file, tau=arguments.tau, num_blocks=arguments.blocks, kinds=arguments.kinds
    )
    write(arguments.out, router)
    print(f"wrote {arguments.out}")
