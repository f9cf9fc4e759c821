"""The command line: `python -m experiments run EXPERIMENT...`, and `list`, which names them. torch
is imported only when something is made.
"""

import os
import signal
import sys


def main(argv=None):
    from harmonica.cli import command

    # threads that spin while they wait would starve the processes beside them
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return command.call(parser, argv)


def parser():
    from harmonica.cli.command import Parser

    from . import names, run

    top = Parser(prog="python -m experiments", description="The runs behind the paper's tables.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    run.add(commands)
    names.add(commands)
    return top


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once, until command.run handles it
    sys.exit(main())
