"""A base model of any scale, by its ModelSpec."""

from harmonica.clothes import shipped
from harmonica.digits.models import load_base


def load_model(spec, precision=None):
    """-> Loaded, frozen. precision: bfloat16 weights, at paper scale; else float32. BadInput where
    a file is missing or has another hash.
    """
    if spec.scale == "clothes":
        return load_base(spec, lambda part: shipped.training_images())
    if spec.scale != "paper":
        return load_base(spec)
    from harmonica.weights import dit  # diffusers' pipelines take seconds to import

    return dit.load(spec, precision)
