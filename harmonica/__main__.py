"""The command line: `python -m harmonica COMMAND`. torch is imported only by commands that compute."""

import os
import sys

from harmonica.cli import command, evaluate, latents, prompts, router, samples, train, weights
from harmonica.cli.command import Parser


def main(argv=None):
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "passive"
    )  # side by side, spinning threads starve each other
    return command.run(
        lambda argv: (arguments := parser().parse_args(argv)).function(arguments), argv
    )


def parser():
    top = Parser(
        prog="python -m harmonica",
        description="Learned feature caching for diffusion transformers.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for verb in (train, evaluate, samples, router, weights, latents, prompts):
        verb.add(commands)
    return top


if __name__ == "__main__":
    sys.exit(main())
