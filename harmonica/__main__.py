"""The command line: `python -m harmonica COMMAND`. Only commands that compute import torch."""

import os
import signal
import sys


def main(argv=None):
    from harmonica.cli import command

    # idle OpenMP threads spin by default, which slows down other processes on the same cores
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return command.call(parser, argv)


def parser():
    from harmonica.cli import (
        base_models,
        evaluate,
        families,
        schedules,
        search,
        train,
        weights,
    )
    from harmonica.cli.command import Parser, Version

    top = Parser(
        prog="python -m harmonica",
        description="Learned feature caching for diffusion transformers.",
    )
    top.add_argument("--version", action=Version, nargs=0, help="print the version and end")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for verbs in (search, train, evaluate, schedules, families, weights, base_models):
        verbs.add(commands)
    return top


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # Ctrl-C ends the process at once, without a traceback, until the command line handles it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
