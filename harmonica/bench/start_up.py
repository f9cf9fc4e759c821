"""Start of the command line, against a Python that imports torch (reference): help and file
commands must not import it.
"""

import subprocess
import sys

from harmonica.bench import timing

REPEATS = 3


def rows(setting):
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
