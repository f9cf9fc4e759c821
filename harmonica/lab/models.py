"""Loads the model of a ModelSpec, at any scale."""

from harmonica.clothes import reference
from harmonica.digits.models import load_base
from harmonica.lab.makings import CompressedSpec


def load_model(spec, precision=None, store=None):
    """-> Loaded, with frozen weights. precision: bfloat16 or float16 weights, at paper scale; else
    float32. store: the Store that holds compressed models. BadInput where a file is missing or has
    another hash.
    """
    if spec.compression:
        from harmonica.compress.transform import restore

        path = store.file_path(CompressedSpec(model=spec))
        return restore(load_model(spec.original, precision), path)
    if spec.scale == "clothes":
        return load_base(spec, lambda part: reference.training_images(), features=None)
    if spec.scale != "paper":
        return load_base(spec)
    from harmonica.weights import published_models  # diffusers' pipelines take seconds to import

    return published_models.load(spec, precision)
