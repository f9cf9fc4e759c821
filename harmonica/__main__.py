"""The command line: `python -m harmonica COMMAND`. Only commands that compute import torch."""

import os
import signal
import sys


def main(argv=None):
    from harmonica.cli import command

    # side by side, spinning threads starve each other
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return command.call(parser, argv)


def parser():
    from harmonica.cli import (
        base_models,
        evaluate,
        families,
        latents,
        prompts,
        router,
        samples,
        schedule,
        search,
        train,
        weights,
    )
    from harmonica.cli.command import Parser

    top = Parser(
        prog="python -m harmonica",
        description="Learned feature caching for diffusion transformers.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    verbs = (search, train, evaluate, samples, schedule, router, families)
    verbs += (weights, latents, prompts, base_models)
    for verb in verbs:
        verb.add(commands)
    return top


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until command.run is there: end at once
    sys.exit(main())
