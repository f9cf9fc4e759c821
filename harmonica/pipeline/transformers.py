"""Finds the backbone for a pipeline's transformer, and the conditioning in a call of it."""

from functools import partial

from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel

from harmonica.backbones.dit import DiT
from harmonica.backbones.hooked import check_hooks
from harmonica.backbones.pixart import PixArt, TextCond
from harmonica.backbones.stock import departures
from harmonica.errors import BadInput, check


def _labels(class_labels):
    return (class_labels,)


def _text(encoder_hidden_states, encoder_attention_mask=None, added_cond_kwargs=None):
    sizes = added_cond_kwargs or {}
    return (
        encoder_hidden_states,
        encoder_attention_mask,
        sizes.get("resolution"),
        sizes.get("aspect_ratio"),
    )


# per transformer class the kinds of block that alternate in it, and three functions: model ->
# backbone; arguments of forward -> the tensors that are the same at all steps; these tensors -> the
# backbone's conditioning
KNOWN = {
    DiTTransformer2DModel: (
        DiT.kinds,
        partial(DiT, numerics="diffusers"),
        _labels,
        lambda labels: labels,
    ),
    PixArtTransformer2DModel: (PixArt.kinds, PixArt, _text, TextCond),
}


def kinds_of(transformer):
    """The kinds of block that alternate in a transformer of KNOWN; None for any other."""
    return KNOWN[type(transformer)][0] if type(transformer) in KNOWN else None


def num_blocks(transformer):
    """The number of cacheable blocks of a transformer of KNOWN, also where something in it was
    changed, so that its backbone does not fit.
    """
    return len(kinds_of(transformer)) * len(transformer.transformer_blocks)


def backbone_of(pipe):
    """The backbone for a pipeline's transformer, with the pipeline's own numerics. BadInput where
    the transformer's class is not in KNOWN.
    """
    transformer = getattr(pipe, "transformer", None)
    check(
        type(transformer) in KNOWN,
        "pipe",
        type(pipe).__name__,
        f"its transformer must be a {' or '.join(kind.__name__ for kind in KNOWN)}, not compiled",
    )
    check_drivable(transformer)
    return KNOWN[type(transformer)][1](transformer)


def conditioning(transformer, inputs):
    """-> a function that makes the backbone's conditioning from tensors, and these tensors: the
    arguments in `inputs` that are the same at every step. BadInput for arguments that the known
    pipelines do not pass.
    """
    *_, read, make = KNOWN[type(transformer)]
    try:
        return make, read(**inputs)
    except TypeError as error:
        raise BadInput(
            f"transformer: with a schedule applied it cannot be called this way ({error})"
        ) from None


def obstacle(transformer):
    """Why a plan cannot stand in for this transformer's own code, in a few words, or None."""
    if type(transformer) not in KNOWN:
        return f"a {type(transformer).__name__}"
    changes = departures(transformer)
    if changes:
        return changes[0] + (f" (and {len(changes) - 1} more)" if len(changes) > 1 else "")
    if any(parameter.is_meta for parameter in transformer.parameters()):
        return "weights that are loaded one by one"
    return None


def check_drivable(transformer):
    """BadInput where the backbone would not compute the same as the transformer.

    A plan calls the modules inside the transformer's blocks directly, and not the blocks' forward.
    So the blocks must have diffusers' own code: hooks on them, or other code in them, would be
    bypassed.
    """
    check_hooks(transformer)  # another cache, which the attention modules may have
    check(
        transformer._compiled_call_impl is None,
        "transformer",
        "compiled",
        "apply the schedule to one that is not",
    )
    reason = obstacle(transformer)
    if reason:
        raise BadInput(
            f"transformer: {reason}; a plan passes this code by, so what was changed there would "
            "do nothing: take it off, or apply the schedule after the change, "
            "which then calls every block as it is"
        )
