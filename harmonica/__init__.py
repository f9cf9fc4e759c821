"""HarmoniCa: learned feature caching for diffusion transformers. Start reading at sdt.py."""


class BadInput(ValueError):
    """A user's mistake. The message names the field, the value and what would be right; no traceback is shown."""


def check(ok, field, value, right):
    """Raise BadInput unless `ok`."""
    if not ok:
        raise BadInput(f"{field}: {value!r} is not possible; {right}")


def __getattr__(name):
    """What users of a diffusers pipeline need, imported when first asked for: `import harmonica` imports no torch."""
    if name in ("apply_router", "remove_router"):
        from . import pipeline as home
    elif name == "Router":
        from . import router as home
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(home, name)
