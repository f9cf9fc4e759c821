"""How long the command line takes to start, against a Python that imports torch (reference). Help,
and commands that only handle files, must not import torch.
"""

import subprocess
import sys

from harmonica.bench import timing

REPEATS = 3


def rows(bench):
    commands = {
        "python -m harmonica --help": ["-m", "harmonica", "--help"],
        "import harmonica": ["-c", "import harmonica"],
    }
    functions = {name: _run(arguments) for name, arguments in commands.items()}
    for name, row in timing.compare(_run(["-c", "import torch"]), functions, REPEATS).items():
        yield {"command": name, **row}, None


def _run(arguments):
    return lambda: subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
    )
