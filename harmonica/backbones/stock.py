"""Checks that a diffusers model is what the hand-written backbones assume it to be.

These backbones do not call some modules, but compute themselves what a block, a norm or an embedder
would. That is right only if such a module is exactly the installed diffusers' (or torch's) own,
with no hook, no replaced code and the attributes that the arithmetic assumes. Attention,
feed-forward and patch embedding may differ: then they are called as they are (lean.py). All other
assumptions are listed here.
"""

import sys
from pathlib import Path

from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel
from diffusers.models import activations, attention, embeddings, normalization
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import nn

# Classes whose forward the backbones skip. Instances of other classes are called as they are.
BYPASSED = (
    Attention,
    AttnProcessor2_0,
    attention.FeedForward,
    activations.GELU,
    embeddings.PatchEmbed,
    nn.Linear,
    nn.Conv2d,
    nn.Dropout,
)


def departures(model):
    """-> [a sentence for each place where a DiT or PixArt transformer is not what its backbone
    assumes]. KeyError for a model that is neither.
    """
    sentences = [
        f"{kind.__name__}: its class's code was replaced" for kind in BYPASSED if _patched(kind)
    ]
    for name, module, kind, values in ASSUMED[type(model)](model):
        sentence = _departure(module, kind, values)
        sentences += [f"{name}: {sentence}"] if sentence else []
    return sentences


def is_own(module, kind):
    """Whether calling the module does what its class `kind` does and nothing more."""
    return type(module) is kind and not is_hooked(module)


def is_hooked(module):
    """Whether a call of the module does more than its class's forward. Hooks on all modules of the
    process (profilers have them) do not count.
    """
    attributes = vars(module)
    return bool(
        "forward" in attributes
        or attributes["_forward_hooks"]
        or attributes["_forward_pre_hooks"]
        or attributes.get("_compiled_call_impl")
    )


def _of_dit(model):
    yield "transformer", model, DiTTransformer2DModel, {}
    for i, block in enumerate(model.transformer_blocks):
        name = f"transformer_blocks.{i}"
        values = {"norm_type": "ada_norm_zero", "pos_embed": None, "attn2": None}
        yield name, block, attention.BasicTransformerBlock, {**_BLOCK, **values}
        norm = getattr(block, "norm1", None)
        yield f"{name}.norm1", norm, normalization.AdaLayerNormZero, {}
        emb = getattr(norm, "emb", None)
        yield f"{name}.norm1.emb", emb, embeddings.CombinedTimestepLabelEmbeddings, {}
        of_time = {"num_channels": 256, "flip_sin_to_cos": True, "scale": 1}
        of_time["downscale_freq_shift"] = 1
        time_proj = getattr(emb, "time_proj", None)
        yield f"{name}.norm1.emb.time_proj", time_proj, embeddings.Timesteps, of_time
        labels = getattr(emb, "class_embedder", None)
        yield f"{name}.norm1.emb.class_embedder", labels, embeddings.LabelEmbedding, {}
        yield f"{name}.norm1.silu", getattr(norm, "silu", None), nn.SiLU, {}


def _of_pixart(model):
    yield "transformer", model, PixArtTransformer2DModel, {}
    adaln = getattr(model, "adaln_single", None)
    yield "adaln_single", adaln, normalization.AdaLayerNormSingle, {}
    embedder = embeddings.PixArtAlphaCombinedTimestepSizeEmbeddings
    yield "adaln_single.emb", getattr(adaln, "emb", None), embedder, {}
    for i, block in enumerate(model.transformer_blocks):
        values = {**_BLOCK, "norm_type": "ada_norm_single", "pos_embed": None}
        yield f"transformer_blocks.{i}", block, attention.BasicTransformerBlock, values
        if getattr(block, "attn2", None) is None:
            yield f"transformer_blocks.{i}.attn2", None, Attention, {}


_BLOCK = {"_chunk_size": None, "only_cross_attention": False}
ASSUMED = {DiTTransformer2DModel: _of_dit, PixArtTransformer2DModel: _of_pixart}


def _departure(module, kind, values):
    """One way in which a module is not a plain `kind` with these attributes, or None."""
    if type(module) is not kind:
        return f"a {type(module).__name__} in place of a {kind.__name__}"
    if _patched(kind):
        return f"the code of class {kind.__name__} was replaced"
    # applying a schedule replaces the forward of the whole model, so that one is checked there
    if kind not in ASSUMED and is_hooked(module):
        return "its forward was replaced" if "forward" in vars(module) else "it has hooks"
    for name, value in values.items():
        if getattr(module, name, value) != value:
            return f"{name} is {getattr(module, name)!r}, not {value!r}"
    return None


def _patched(kind):
    """Whether a class's forward or __call__ is not that of the package that defines the class."""
    if issubclass(kind, nn.Module) and kind.__call__ is not nn.Module.__call__:
        return True
    method = kind.forward if issubclass(kind, nn.Module) else kind.__call__
    code = getattr(method, "__code__", None)
    # anywhere in the package, as a decorator of diffusers may be defined in another of its files
    package = sys.modules[kind.__module__.partition(".")[0]]
    return code is None or not Path(code.co_filename).is_relative_to(Path(package.__file__).parent)
