"""The error for a user's mistake, warnings, and one-line messages for errors of the system."""

import sys
import warnings

KEPT = "what was finished is kept"
# the packages between a line of the user's and this package's warnings
LIBRARIES = ("harmonica", "diffusers", "torch", "accelerate", "contextlib", "functools")
# in the messages of torch, whose errors are RuntimeErrors
MEMORY = ("can't allocate memory", "out of memory", "not enough memory")


class BadInput(ValueError):
    """A user's mistake, shown without a traceback: the field, the value, what would be right."""


def check(ok, field, value, right):
    """Raise BadInput unless `ok`."""
    if not ok:
        raise BadInput(f"{field}: {value!r} is not possible; {right}")


def check_done(failed):
    """BadInput where anything failed, after printing all of it. failed: {id: reason}."""
    for id_, reason in failed.items():
        print(f"failed: {id_}: {reason}")
    if failed:
        id_, reason = next(iter(failed.items()))
        more = f" ({len(failed)} failed, listed above)" if len(failed) > 1 else ""
        raise BadInput(f"run: {id_}: {reason}{more}")


def warn(message):
    """Warn, naming the line of the user's code that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in LIBRARIES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def sentence(error):
    """-> a one-line message for an error that the user can fix: a wrong input, an unreadable file,
    a full disk, too little memory. None for any other error, which is a bug of this package.
    """
    if isinstance(error, BadInput):
        return " ".join(str(error).splitlines())
    if isinstance(error, OSError):
        source = error.filename or "the system"
        return " ".join(f"{source}: {error.strerror or error}; {KEPT}".splitlines())
    by_torch = isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in MEMORY)
    if isinstance(error, MemoryError) or by_torch:
        first = (str(error).splitlines() or ["none is left"])[0][:200]
        return f"memory: {first}; a smaller batch or fewer processes need less; {KEPT}"
    return None
