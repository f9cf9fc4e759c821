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


def from_official(weights, *, heads):
    """Build the model that the tensors `weights` (official names) describe and load them, as
    float32.

    Everything but the number of heads can be read off the shapes. ValueError naming a tensor that
    is missing or unexpected.
    """
    try:
        width, channels, patch, _ = weights["x_embedder.proj.weight"].shape
        depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
        tokens = weights["pos_embed"].shape[1]
        model = build(
            width=width,
            depth=depth,
            heads=heads,
            patch=patch,
            channels=channels,
            sample_size=patch * int(tokens**0.5),
            out_channels=weights["final_layer.linear.weight"].shape[0] // patch**2,
            num_classes=weights["y_embedder.embedding_table.weight"].shape[0] - 1,
        )
    except KeyError as missing:
        raise ValueError(
            f"weights: tensor {missing} is missing; expected an official DiT's names"
        ) from None
    check_shapes(weights, to_official(model), "official DiT")
    model.load_state_dict(_renamed(weights, model), strict=True)
    return model


def to_official(model):
    """The state dict of `model` (built by `build`) under the official names: with one embedder,
    joined qkv, and pos_embed.
    """
    state = model.state_dict()
    out = {"pos_embed": model.pos_embed.pos_embed}
    for name, diffusers_name in OUTER_NAMES.items():
        out.update(
            {
                f"{name}.{kind}": state[f"{diffusers_name}.{kind}"]
                for kind in ("weight", "bias")
                if f"{diffusers_name}.{kind}" in state
            }
        )
    for i in range(len(model.transformer_blocks)):
        for kind in ("weight", "bias"):
            prefix = f"transformer_blocks.{i}."
            out.update(
                {
                    f"blocks.{i}.{name}.{kind}": state[f"{prefix}{diffusers_name}.{kind}"]
                    for name, diffusers_name in BLOCK_NAMES.items()
                }
            )
            out[f"blocks.{i}.attn.qkv.{kind}"] = torch.cat(
                [state[f"{prefix}attn1.to_{p}.{kind}"] for p in "qkv"]
            )
    return {name: value.detach().contiguous() for name, value in out.items()}


def check_shapes(weights, expected, kind):
    """ValueError naming a tensor that is missing, unexpected or of another shape. kind: of model."""
    for name in sorted(weights.keys() | expected.keys()):
        shape = tuple(weights[name].shape) if name in weights else "missing"
        needed = tuple(expected[name].shape) if name in expected else "none"
        if shape != needed:
            raise ValueError(
                f"weights: tensor {name!r} is {shape}; by the other tensors the {kind} has {needed}"
            )


def _renamed(weights, model):
    """The tensors of `weights` (official names) under the names of `model.state_dict()`, where the
    shared embedder appears once per block. Also copies pos_embed into the model.
    """
    out = {}
    for i in range(len(model.transformer_blocks)):
        prefix = f"transformer_blocks.{i}."
        for kind in ("weight", "bias"):
            for name, diffusers_name in BLOCK_NAMES.items():
                out[f"{prefix}{diffusers_name}.{kind}"] = weights[f"blocks.{i}.{name}.{kind}"]
            for part, value in zip("qkv", weights[f"blocks.{i}.attn.qkv.{kind}"].chunk(3)):
                out[f"{prefix}attn1.to_{part}.{kind}"] = value
            for name, diffusers_name in OUTER_NAMES.items():
                if f"{name}.{kind}" in weights:
                    out[diffusers_name.replace("transformer_blocks.0.", prefix) + f".{kind}"] = (
                        weights[f"{name}.{kind}"]
                    )
    model.pos_embed.pos_embed.copy_(weights["pos_embed"])
    return {name: value.float() for name, value in out.items()}
