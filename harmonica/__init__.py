"""HarmoniCa: learned feature caching for diffusion transformers.

Start reading in harmonica/method.
"""

# What users of a diffusers pipeline need, imported when first asked for: `import harmonica`
# imports no torch.
EXPORTS = {
    "errors": "harmonica.errors",
    "formats": "harmonica.weights.formats",
    "router": "harmonica.method.router",
    "schedules": "harmonica.method.schedules",
    "apply_router": "harmonica.pipeline.apply",
    "remove_router": "harmonica.pipeline.apply",
    "Router": "harmonica.method.router",
    "BadInput": "harmonica.errors",
}


def __getattr__(name):
    from importlib import import_module

    if name not in EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(EXPORTS[name])
    return home if home.__name__.endswith(f".{name}") else getattr(home, name)
