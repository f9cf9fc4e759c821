"""`python -m harmonica weights check PATH`: describe a file of weights, and tell whether it is a
published one.
"""

import json

from harmonica.cli.command import text


def add(commands):
    verb = commands.add_parser("weights", help="look at files of weights")
    actions = verb.add_subparsers(metavar="ACTION", required=True)
    check = actions.add_parser("check", help="naming, numerics, sha256, known or not, sizes")
    check.add_argument(
        "path",
        type=text,
        help="a .pt or .safetensors file, a diffusers folder, or a name in $HARMONICA_WEIGHTS",
    )
    check.add_argument("--json", action="store_true", help="print it as JSON")
    check.set_defaults(function=_check)


def _check(arguments):
    from harmonica.weights.checkpoints import describe

    description = describe(arguments.path)
    if arguments.json:
        print(json.dumps(description, indent=1))
        return
    for key, value in description.items():
        print(f"{key:16} {'-' if value is None else value}")
