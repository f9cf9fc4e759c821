"""HarmoniCa: learned feature caching for diffusion transformers.

Start reading in harmonica/method.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import harmonica.search as folder

# What users of a diffusers pipeline need. Imported only when first used, so that
# `import harmonica` does not import torch; type checkers read the imports.
if TYPE_CHECKING:
    from harmonica.errors import BadInput as BadInput
    from harmonica.method.router import Router as Router
    from harmonica.method.schedule import Schedule as Schedule
    from harmonica.pipeline.apply import apply as apply
    from harmonica.pipeline.apply import remove as remove
    from harmonica.pipeline.search import search as search
    from harmonica.pipeline.train import train as train
EXPORTS = {
    "apply": "harmonica.pipeline.apply",
    "remove": "harmonica.pipeline.apply",
    "train": "harmonica.pipeline.train",
    "apply_router": "harmonica.pipeline.apply",
    "remove_router": "harmonica.pipeline.apply",
    "Router": "harmonica.method.router",
    "Schedule": "harmonica.method.schedule",
    "BadInput": "harmonica.errors",
}
__all__ = ["search", *EXPORTS]


def __getattr__(name):
    if name in EXPORTS:
        return getattr(import_module(EXPORTS[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("harmonica-cache")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*__all__, "__version__"]


class _Search(ModuleType):
    """Makes the package harmonica.search callable: harmonica.search(pipe) searches a schedule."""

    def __call__(self, *arguments, **options):
        return _search()(*arguments, **options)

    @property
    def __signature__(self):
        from inspect import signature

        return signature(_search())


def _search():
    return import_module("harmonica.pipeline.search").search


folder.__class__ = _Search
