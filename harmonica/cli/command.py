"""What all command lines of this repository have in common: the ranges of options are checked
before anything starts, and a mistake that the user can correct gives one sentence and exit code 2,
no traceback.
"""

import _thread
import argparse
import io
import json
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from harmonica.errors import KEPT, BadInput, sentence

INTERRUPTED = f"interrupted: {KEPT}; the same command goes on from there"


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
                print(INTERRUPTED, file=sys.stderr)
                return 130
            line = sentence(error)
            if line is None:
                raise
            print(f"error: {line}", file=sys.stderr)
            return 2


def call(parser, arguments):
    """Parse the arguments and `run` the function of the verb they name. parser() -> the Parser."""

    def function(arguments):
        parsed = parser().parse_args(arguments)
        return parsed.function(parsed)

    return run(function, arguments)


@contextmanager
def _interrupts():
    """Yield a list that is empty until Ctrl-C is pressed. Where Python would print a Ctrl-C and go
    on, as in a destructor, it is raised again.
    """
    interrupted = []
    hook, before = sys.unraisablehook, signal.getsignal(signal.SIGINT)

    def interrupt(_, frame):
        interrupted.append(True)
        if _is_importing(frame):  # raised there, it may reach C++ code, which aborts the process
            os.write(sys.stderr.fileno(), f"{INTERRUPTED}\n".encode())
            os._exit(130)
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


def _is_importing(frame):
    """Whether a module is being imported where the program stands."""
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises BadInput for a mistake. Options cannot be abbreviated."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def parse_args(self, args=None, namespace=None):
        """As argparse's, but "--option=--" is an error: argparse would give it an empty list."""
        for argument in sys.argv[1:] if args is None else args:
            if argument.startswith("--") and argument.endswith("=--"):
                self.error(f"argument {argument[:-3]}: expected one argument")
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._verb(args).error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed

    def _verb(self, args):
        """The parser of the verb, and of the action, that the arguments begin with."""
        parser = self
        for argument in sys.argv[1:] if args is None else args:
            named = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
            if not named or argument not in named[0].choices:
                break
            parser = named[0].choices[argument]
        return parser

    def error(self, message):
        raise BadInput(f"{message}; see {self.prog} --help")


class Version(argparse.Action):
    """Prints the version and ends. It is looked up only then."""

    def __call__(self, parser, *_):
        import harmonica

        print(f"harmonica {harmonica.__version__}")
        parser.exit()


def add_actions(commands, name, description):
    """Add a verb that has actions, as in `router info` -> what their parsers are added to."""
    verb = commands.add_parser(name, help=description)
    return verb.add_subparsers(metavar="ACTION", required=True)


def show(values, as_json=False):
    """Print figures, one on each line or all as JSON. None is shown as "-"."""
    if as_json:
        print(json.dumps(values, indent=1))
        return
    for name, value in values.items():
        print(f"{name:19} {'-' if value is None else value}")


def whole(low, high, *, multiple_of=1):
    """-> the argparse type of an option that takes whole numbers in this range."""
    right = f"give a whole number from {low} to {high}"
    right += f", a multiple of {multiple_of}" if multiple_of > 1 else ""
    return _number(int, right, lambda value: low <= value <= high and value % multiple_of == 0)


def real(low, high, *, ends=True):
    """-> the argparse type of an option of numbers in this range. ends: they are included."""
    if ends:
        right = f"give a number from {low} to {high}"
        return _number(float, right, lambda value: low <= value <= high)
    right = f"give a number above {low} and below {high}"
    return _number(float, right, lambda value: low < value < high)


def _number(kind, right, is_right):
    """-> the argparse type of an option that takes numbers of this kind for which `is_right`."""

    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            raise _refused(repr(text), right) from None
        if not is_right(value):
            raise _refused(text.strip(), right)
        return value

    return convert


def text(value):
    """The argparse type of an option that takes a name or a path: any text that is not blank."""
    if not value.strip():
        raise _refused(repr(value), "it is empty")
    return value


def hexadecimal(digits):
    """The argparse type of an option that takes the first 6 to 64 digits of a sha256."""
    if not 6 <= len(digits) <= 64 or set(digits.lower()) - set("0123456789abcdef"):
        raise _refused(repr(digits), "give 6 to 64 hexadecimal digits")
    return digits.lower()


def out_file(*endings):
    """-> the argparse type of an option that names a file to write, with one of these endings."""

    def convert(name):
        if not name.endswith(endings) or Path(name).name in endings:
            raise _refused(repr(name), f"its name must end in {' or '.join(endings)}")
        if Path(name).is_dir():
            raise _refused(repr(name), "it is a folder; name a file")
        _can_be_made(name)
        return name

    return convert


def out_folder(name):
    """The argparse type of an option that names a folder to write into; it need not exist."""
    if Path(text(name)).exists() and not Path(name).is_dir():
        raise _refused(repr(name), "it is a file; name a folder")
    _can_be_made(name)
    return name


def _can_be_made(name):
    """Refuse a path that lies below a file, or in a folder that cannot be written."""
    try:
        nearest = next(
            path for path in (Path(name), *Path(name).absolute().parents) if path.exists()
        )
    except OSError as error:
        raise _refused(repr(name), error.strerror) from None
    folder = nearest if nearest.is_dir() else nearest.parent
    if nearest.is_file() and nearest != Path(name):
        raise _refused(repr(name), f"{nearest} is a file, no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(repr(name), f"the folder {folder} cannot be written")


def _refused(value, right):
    return argparse.ArgumentTypeError(f"{value} is not possible; {right}")
