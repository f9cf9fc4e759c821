"""What all command lines of this repository have in common: the ranges of options are checked
before anything starts, and a mistake that the user can correct gives one sentence and exit code 2,
no traceback.
"""

import _thread
import argparse
import io
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from harmonica.errors import KEPT, BadInput, sentence


def run(function, arguments):
    """Call function(arguments) -> exit code: the function's own (None is 0), 2 for a mistake or an
    unusable file, 130 for Ctrl-C at any moment.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may not fit its encoding
            stream.reconfigure(errors="backslashreplace")
    with _interrupts() as interrupted:
        try:
            code = function(arguments) or 0
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # the reader of our output has ended, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except BaseException as error:
            # an import of a C extension may turn a KeyboardInterrupt into another error
            if interrupted or isinstance(error, KeyboardInterrupt):
                line = f"interrupted: {KEPT}; the same command goes on from there"
                print(line, file=sys.stderr)
                return 130
            line = sentence(error)
            if line is None:
                raise
            print(f"error: {line}", file=sys.stderr)
            return 2


def call(parser, arguments):
    """Parse the arguments and `run` the function of the verb they name. parser() -> the Parser."""

    def function(arguments):
        given = parser().parse_args(arguments)
        return given.function(given)

    return run(function, arguments)


@contextmanager
def _interrupts():
    """Yield a list that is empty until Ctrl-C is pressed. Where Python would print a Ctrl-C and go
    on, as in a destructor, it is raised again.
    """
    interrupted, hook, before = [], sys.unraisablehook, signal.getsignal(signal.SIGINT)

    def interrupt(*_):
        interrupted.append(True)
        raise KeyboardInterrupt

    def again(unraisable):
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # a moment later, as here it would be ignored again
            threading.Timer(0.05, _thread.interrupt_main).start()
        else:
            hook(unraisable)

    ours = before in (signal.SIG_DFL, signal.default_int_handler)  # else Ctrl-C stays ignored
    if ours:
        signal.signal(signal.SIGINT, interrupt)
        sys.unraisablehook = again
    try:
        yield interrupted
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
            sys.unraisablehook = hook


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises BadInput for a mistake. Options cannot be abbreviated."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def parse_args(self, args=None, namespace=None):
        """As argparse's, but "--option=--" is an error: argparse would give it an empty list."""
        for given in sys.argv[1:] if args is None else args:
            if given.startswith("--") and given.endswith("=--"):
                self.error(f"argument {given[:-3]}: expected one argument")
        return super().parse_args(args, namespace)

    def error(self, message):
        raise BadInput(f"{message}; see {self.prog} --help")


def whole(low, high, *, multiple_of=1):
    """-> the argparse type of an option that takes whole numbers in this range."""
    right = f"give a whole number from {low} to {high}"
    right += f", a multiple of {multiple_of}" if multiple_of > 1 else ""

    def convert(text):
        value = _number(int, text, right)
        if not low <= value <= high or value % multiple_of:
            raise _refused(text.strip(), right)
        return value

    return convert


def real(low, high, *, ends=True):
    """-> the argparse type of an option that takes numbers in this range. ends: they
    are included.
    """
    right = f"give a number from {low} to {high}" if ends else f"it lies between {low} and {high}"

    def convert(text):
        value = _number(float, text, right)
        if not (low <= value <= high if ends else low < value < high):
            raise _refused(text.strip(), right)
        return value

    return convert


def _number(kind, text, right):
    try:
        return kind(text)
    except ValueError:
        raise _refused(repr(text), right) from None


def text(given):
    """The argparse type of an option that takes a name or a path: any text that is not blank."""
    if not given.strip():
        raise _refused(repr(given), "it is empty")
    return given


def hexadecimal(given):
    """The argparse type of an option that takes the first 6 to 64 digits of a sha256."""
    if not 6 <= len(given) <= 64 or set(given.lower()) - set("0123456789abcdef"):
        raise _refused(repr(given), "give 6 to 64 hexadecimal digits")
    return given.lower()


def out_file(*endings):
    """-> the argparse type of an option that names a file to write, with one of these endings."""

    def convert(given):
        if not given.endswith(endings) or Path(given).name in endings:
            raise _refused(repr(given), f"its name must end in {' or '.join(endings)}")
        if Path(given).is_dir():
            raise _refused(repr(given), "it is a folder; name a file")
        _can_be_made(given)
        return given

    return convert


def out_folder(given):
    """The argparse type of an option that names a folder to write into; it need not exist."""
    if Path(text(given)).exists() and not Path(given).is_dir():
        raise _refused(repr(given), "it is a file; name a folder")
    _can_be_made(given)
    return given


def _can_be_made(given):
    """Refuse a path that lies below a file, or in a folder that cannot be written."""
    try:
        there = next(
            path for path in (Path(given), *Path(given).absolute().parents) if path.exists()
        )
    except OSError as error:
        raise _refused(repr(given), error.strerror) from None
    folder = there if there.is_dir() else there.parent
    if there.is_file() and there != Path(given):
        raise _refused(repr(given), f"{there} is a file, no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(repr(given), f"the folder {folder} cannot be written")


def _refused(given, right):
    return argparse.ArgumentTypeError(f"{given} is not possible; {right}")
