"""What a file of weights is: its naming, the numerics it needs, its hash, whether it is a published
one, its sizes.
"""

import json
from pathlib import Path

from harmonica import weights
from harmonica.errors import check
from harmonica.weights.dit import HEADS, tensors_of

# (model, naming) -> a tensor that only it has
FORMS = {
    ("DiT", "official"): "final_layer.adaLN_modulation.1.weight",
    ("DiT", "diffusers"): "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight",
    ("AutoencoderKL", "diffusers"): "post_quant_conv.weight",
    ("Inception", "torch-fidelity"): "Mixed_7c.branch_pool.conv.weight",
}
# Converted copies of the official weights need what those were trained with; a model trained in
# diffusers needs diffusers'.
NUMERICS = {("DiT", "official"): "official", ("DiT", "diffusers"): "official"}


def describe(path):
    """-> {"path", "model", "naming", "numerics", "sha256", "known", "published_as", "num_bytes",
    "num_tensors", "num_parameters", and a DiT's sizes}.

    path: a file, a diffusers folder, or a published name below weights.folder(). numerics: what the
    paper's rows need, None where there is no choice. known: whether the hash is that of a published
    file, `published_as` then its name. Nothing is unpickled. BadInput where it is none of FORMS.
    """
    path = Path(path) if Path(path).exists() else weights.find(str(path))
    file = weights.tensors_of(path)
    tensors, digest = tensors_of(file), weights.sha256(file)
    form = next((form for form, tensor in FORMS.items() if tensor in tensors), None)
    check(
        form,
        "weights",
        str(file),
        f"expected the tensors of {', '.join(' '.join(form) for form in FORMS)}; a router is for `router info`",
    )
    name = next((name for name, own in weights.PUBLISHED.items() if own.sha256 == digest), None)
    return {
        "path": str(path),
        "model": form[0],
        "naming": form[1],
        "numerics": NUMERICS.get(form),
        "sha256": digest,
        "known": name is not None,
        "published_as": name,
        "num_bytes": file.stat().st_size,
        "num_tensors": len(tensors),
        "num_parameters": sum(value.numel() for value in tensors.values()),
        **_sizes(form, tensors, file),
    }


def _sizes(form, tensors, file):
    if form == ("DiT", "diffusers"):
        config = json.loads((file.parent / "config.json").read_text())
        return {
            "width": config["num_attention_heads"] * config["attention_head_dim"],
            "depth": config["num_layers"],
            "heads": config["num_attention_heads"],
            "patch": config["patch_size"],
            "sample_size": config["sample_size"],
            "num_classes": config["num_embeds_ada_norm"],
        }
    if form == ("DiT", "official"):
        width, _, patch, _ = tensors["x_embedder.proj.weight"].shape
        return {
            "width": width,
            "depth": 1 + max(int(n.split(".")[1]) for n in tensors if n.startswith("blocks.")),
            "heads": HEADS.get(width),
            "patch": patch,
            "sample_size": patch * int(tensors["pos_embed"].shape[1] ** 0.5),
            "num_classes": len(tensors["y_embedder.embedding_table.weight"]) - 1,
        }
    return {}
