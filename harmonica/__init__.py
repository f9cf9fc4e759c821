"""HarmoniCa: learned feature caching for diffusion transformers.

Start reading in harmonica/method.
"""

from importlib import import_module
from types import ModuleType

import harmonica.search as folder

# What users of a diffusers pipeline need. Imported only when first used, so that
# `import harmonica` does not import torch.
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


def __getattr__(name):
    if name in EXPORTS:
        return getattr(import_module(EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Search(ModuleType):
    """Makes the package harmonica.search callable: harmonica.search(pipe) searches a schedule."""

    def __call__(self, *arguments, **options):
        """See harmonica.pipeline.search.search."""
        return import_module("harmonica.pipeline.search").search(*arguments, **options)


folder.__class__ = _Search
