"""How every command line of this repository ends: one sentence for what a user can mend, exit code
2, no traceback.
"""

import argparse
import os
import sys

from harmonica.errors import BadInput


def run(function, arguments):
    """Call function(arguments) -> exit code: its own (None is 0), 2 for a mistake or an unusable
    file, 130 for Ctrl-C.
    """
    try:
        return function(arguments) or 0
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
    except BrokenPipeError:  # the reader of our output (head, say) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(
            f"error: results: cannot use {error.filename or 'the folder'}: {error.strerror or error}; what was finished is "
            "kept",
            file=sys.stderr,
        )
    except KeyboardInterrupt:
        print(
            "interrupted: what was finished is kept; the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    return 2


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every other mistake is met."""

    def error(self, message):
        raise BadInput(f"{message}; see {self.prog} --help")
