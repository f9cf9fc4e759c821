"""The command line: `python -m experiments run EXPERIMENT...`. torch is imported only when something is made."""

import os
import sys

from harmonica.cli import command
from harmonica.cli.command import Parser

from . import run


def main(argv=None):
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "passive"
    )  # side by side, spinning threads starve each other
    return command.run(
        lambda argv: (arguments := parser().parse_args(argv)).function(arguments), argv
    )


def parser():
    top = Parser(prog="python -m experiments", description="The runs behind the paper's tables.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    run.add(commands)
    return top


if __name__ == "__main__":
    sys.exit(main())
