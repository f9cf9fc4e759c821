"""The backbone of a diffusers pipeline's transformer, and what a call of that transformer is
conditioned on.
"""

from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel

from harmonica.backbones.dit import DiT
from harmonica.backbones.pixart import PixArt, TextCond
from harmonica.backbones.stock import departures
from harmonica.errors import BadInput, check


def _dit(model):
    return DiT(model, "diffusers")


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


# per class of transformer: its backbone, the tensors among forward's arguments that stay the same
# for all steps, and the backbone's conditioning made of these
KNOWN = {
    DiTTransformer2DModel: (_dit, _labels, lambda labels: labels),
    PixArtTransformer2DModel: (PixArt, _text, TextCond),
}


def backbone_of(pipe):
    """The backbone of a pipeline in the pipeline's own numerics. BadInput for pipelines that are
    not known.
    """
    transformer = getattr(pipe, "transformer", None)
    check(
        type(transformer) in KNOWN,
        "pipe",
        type(pipe).__name__,
        "a router can be applied where the transformer is a (not "
        "compiled) " + " or ".join(own.__name__ for own in KNOWN),
    )
    check_drivable(transformer)
    return KNOWN[type(transformer)][0](transformer)


def conditioning(transformer, inputs):
    """The arguments of a call of forward that are the same at every step, as tensors -> what makes
    the backbone's conditioning of them, and they. BadInput for arguments that the known pipelines
    do not give.
    """
    _, read, make = KNOWN[type(transformer)]
    try:
        return make, read(**inputs)
    except TypeError as error:
        raise BadInput(
            f"transformer: with a router applied it cannot be called this way ({error})"
        ) from None


def obstacle(transformer):
    """Why the blocks of a transformer cannot be driven past their own code, in a few words; None
    where they can.
    """
    if type(transformer) not in KNOWN:
        return f"a {type(transformer).__name__}"
    found = departures(transformer)
    if found:
        return found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
    if any(parameter.is_meta for parameter in transformer.parameters()):
        return "weights that are loaded one by one"
    return None


def check_drivable(transformer):
    """BadInput where the backbone would not compute what the transformer does.

    A plan drives modules inside the transformer's blocks past the blocks' own code, so that must be
    the stock code; hooks and other code on what is passed by would do nothing.
    """
    check_not_compiled(transformer)
    found = obstacle(transformer)
    if found:
        raise BadInput(
            f"transformer: {found}; a plan passes this code by, so what was changed there would do "
            "nothing: take it "
            "off, or apply the schedule after the change, which then calls every block as it is"
        )


def check_not_compiled(transformer):
    check(
        transformer._compiled_call_impl is None,
        "transformer",
        "compiled",
        "apply the router to one that is not",
    )
