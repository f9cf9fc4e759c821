"""Compresses a loaded model as its settings say, and reads compressed models from their files."""

from harmonica.compress import adaround, efficientdm, stored
from harmonica.compress.adaround import ranges
from harmonica.compress.finetune import finetune
from harmonica.compress.observe import inputs, walk
from harmonica.compress.prune import prune
from harmonica.compress.quantise import bits_of, is_of_prompt, layers
from harmonica.compress.settings import EfficientDM, Pruning
from harmonica.errors import BadInput
from harmonica.files import load_state, save_state


def compress(loaded, settings, state_path, progress=iter):
    """-> (tensors, about), to be written by `save`. Resumes from `state_path` where it exists."""
    if isinstance(settings, Pruning):
        smaller = prune(loaded, settings)
        finetune(smaller, settings, state_path, progress=progress)
        return stored.pruned(smaller), {"kind": "pruned"}
    rounded = quantise(loaded, settings, state_path, progress)
    tensors, bits = stored.quantised(loaded, rounded)
    timesteps = walk(loaded, settings, 0, 1)[0].timesteps
    return tensors, {"kind": "quantised", "bits": bits, "timesteps": list(timesteps)}


def quantise(loaded, settings, state_path, progress=iter):
    """-> {layer name: Rounded}, by the way of rounding that the settings name. Layers that the walk
    does not call are left as they are, but for those of the prompt.
    """
    layer_of = layers(loaded.backbone)
    seen = inputs(loaded, settings)
    tuned = isinstance(settings.rounding, EfficientDM)
    begin = {
        name: adaround.nearest(
            layer.weight,
            bits_of(name, settings.weight_bits),
            ranges(seen[name], name, bits_of(name, settings.activation_bits), tuned)
            if name in seen
            else None,
        )
        for name, layer in layer_of.items()
        if name in seen or is_of_prompt(name)
    }
    if tuned:
        return efficientdm.learn(loaded, begin, settings, state_path, progress=progress)
    return adaround.learn(layer_of, seen, begin, settings, state_path, progress=progress)


def save(path, tensors, about):
    save_state(path, tensors, about)


def restore(loaded, path):
    """Make a compressed model of the base model and the tensors in a file -> Loaded. BadInput where
    the file is missing or incomplete.
    """
    saved = load_state(path, "compressed model", "have it made again")
    if saved is None:
        raise BadInput(f"model: {path} does not exist; the command of its runs makes it")
    tensors, about = saved
    if about["kind"] == "pruned":
        return stored.with_pruned(loaded, tensors)
    return stored.with_quantised(loaded, tensors, about["bits"], about["timesteps"])
