"""A user's mistake, and how it is said."""


class BadInput(ValueError):
    """A user's mistake. The message names the field, the value and what would be right; no
    traceback is shown.
    """


def check(ok, field, value, right):
    """Raise BadInput unless `ok`."""
    if not ok:
        raise BadInput(f"{field}: {value!r} is not possible; {right}")
