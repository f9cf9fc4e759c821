"""Converts weights between the official DiT's names and diffusers' DiTTransformer2DModel.

The official file has one timestep and one label embedder; diffusers gives every block a copy. Here
all blocks share one module, so that the copies cannot differ and are stored once.
"""

import torch
from diffusers import DiTTransformer2DModel

BLOCK_NAMES = {
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
    "adaLN_modulation.1": "norm1.linear",
}
OUTER_NAMES = {
    "x_embedder.proj": "pos_embed.proj",
    "final_layer.linear": "proj_out_2",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "t_embedder.mlp.0": "transformer_blocks.0.norm1.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "transformer_blocks.0.norm1.emb.timestep_embedder.linear_2",
    "y_embedder.embedding_table": "transformer_blocks.0.norm1.emb.class_embedder.embedding_table",
}


def build(*, width, depth, heads, patch, sample_size, channels, out_channels, num_classes):
    """An untrained DiTTransformer2DModel in eval() whose blocks share one conditioning embedder."""
    model = DiTTransformer2DModel(
        num_attention_heads=heads,
        attention_head_dim=width // heads,
        in_channels=channels,
        out_channels=out_channels,
        num_layers=depth,
        sample_size=sample_size,
        patch_size=patch,
        num_embeds_ada_norm=num_classes,
    )
    for block in model.transformer_blocks[1:]:
        block.norm1.emb = model.transformer_blocks[0].norm1.emb
    return model.eval()


def shape_of(weights, heads):
    """The arguments of `build` for a model, from its tensors under official names; only the number
    of heads cannot be read off them. KeyError naming a tensor that is missing.
    """
    width, channels, patch, _ = weights["x_embedder.proj.weight"].shape
    return {
        "width": width,
        "depth": 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks.")),
        "heads": heads,
        "patch": patch,
        "sample_size": patch * int(weights["pos_embed"].shape[1] ** 0.5),
        "channels": channels,
        "out_channels": len(weights["final_layer.linear.weight"]) // patch**2,
        "num_classes": len(weights["y_embedder.embedding_table.weight"]) - 1,
    }


def from_official(weights, *, heads):
    """Build the model that the tensors `weights` (official names) describe and load them, as
    float32. ValueError naming a tensor that is missing or unexpected.
    """
    try:
        model = build(**shape_of(weights, heads))
    except KeyError as missing:
        raise ValueError(
            f"weights: tensor {missing} is missing; expected an official DiT's names"
        ) from None
    check_shapes(weights, to_official(model), "official DiT")
    model.pos_embed.pos_embed.copy_(weights["pos_embed"])
    state = {}
    for name, parts in _names(len(model.transformer_blocks)):
        if name in weights:
            state.update(zip(parts, weights[name].float().chunk(len(parts))))
    # not strict: the state dict names the one embedder once per block
    model.load_state_dict(state, strict=False)
    return model


def to_official(model):
    """The state dict of `model` (built by `build`) under the official names: with one embedder,
    joined qkv, and pos_embed.
    """
    state = model.state_dict()
    out = {"pos_embed": model.pos_embed.pos_embed}
    for name, parts in _names(len(model.transformer_blocks)):
        if parts[0] in state:
            tensors = [state[part] for part in parts]
            out[name] = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
    return {name: value.detach().contiguous() for name, value in out.items()}


def check_shapes(weights, expected, kind):
    """ValueError naming a missing or unexpected tensor, or one of another shape. kind: of model."""
    for name in sorted(weights.keys() | expected.keys()):
        shape = tuple(weights[name].shape) if name in weights else "missing"
        needed = tuple(expected[name].shape) if name in expected else "none"
        if shape != needed:
            raise ValueError(
                f"weights: tensor {name!r} is {shape}; by the other tensors the {kind} has {needed}"
            )


def _names(depth):
    """Yield every official name but pos_embed, with the names of its parts in diffusers, of which
    attn.qkv alone has several. A bias that no model has is among them.
    """
    for kind in ("weight", "bias"):
        for name, diffusers_name in OUTER_NAMES.items():
            yield f"{name}.{kind}", [f"{diffusers_name}.{kind}"]
        for i in range(depth):
            prefix = f"transformer_blocks.{i}."
            for name, diffusers_name in BLOCK_NAMES.items():
                yield f"blocks.{i}.{name}.{kind}", [f"{prefix}{diffusers_name}.{kind}"]
            yield f"blocks.{i}.attn.qkv.{kind}", [f"{prefix}attn1.to_{p}.{kind}" for p in "qkv"]
