"""Reads files of weights without unpickling code, loads them as a diffusers model, and describes
them: naming, numerics, hash, whether they are published, sizes.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file

from harmonica import weights
from harmonica.backbones import dit_official, uvit_official
from harmonica.errors import BadInput, check
from harmonica.files import first_line, read_json
from harmonica.weights import catalogue

# width -> number of heads of DiT-S, B, L and XL, which is not stored in their files
HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}
# (model, naming of its tensors) -> the name of a tensor by which it is recognised
FORMS = {
    ("DiT", "official"): "final_layer.adaLN_modulation.1.weight",
    ("DiT", "diffusers"): "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight",
    ("U-ViT", "official"): uvit_official.MARK,
    ("PixArt", "diffusers"): "caption_projection.linear_1.weight",
    ("AutoencoderKL", "diffusers"): "post_quant_conv.weight",
    ("Inception", "torch-fidelity"): "Mixed_7c.branch_pool.conv.weight",
}
CLASSES = {
    ("DiT", "diffusers"): "DiTTransformer2DModel",
    ("PixArt", "diffusers"): "PixArtTransformer2DModel",
}


def read_tensors(path):
    """-> {name: tensor} of a .pt, .bin or .safetensors file, on the CPU; .pt files are
    memory-mapped. BadInput where the file is damaged or holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # training checkpoints hold their command's arguments as a Namespace
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch's reader raises almost anything on a damaged file
        if isinstance(error, OSError) and error.filename:
            raise
        raise BadInput(
            f"weights: {path} is damaged or holds more than tensors and plain values; "
            "nothing of it was unpickled; fetch it anew"
        ) from None
    for part in ("ema", "state_dict"):  # as training checkpoints of DiT's and PixArt's code have it
        if isinstance(content, dict) and isinstance(content.get(part), dict):
            content = content[part]
    of_tensors = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    )
    check(of_tensors and content, "weights", str(path), "a dict of tensors is expected")
    return content


def of_folder(path, kind):
    """The transformer in a diffusers folder, of a pipeline or of the model alone, as an instance of
    the class `kind`, float32, in eval().
    """
    file = weights.file_of(path)
    config = _config(file, kind.__name__)
    try:
        model = kind.from_config(config)
        model.load_state_dict({name: value.float() for name, value in read_tensors(file).items()})
    except BadInput:
        raise
    except Exception as error:  # diffusers raises almost anything on odd values in the config
        raise BadInput(
            f"model: {file.parent} holds no {kind.__name__} ({first_line(error)})"
        ) from None
    return model.eval()


def _config(file, name):
    """The config.json beside a diffusers file of weights, which must name the class `name`."""
    config = file.parent / "config.json"
    right = "a diffusers folder holds it beside its weights"
    check(config.is_file(), "model", str(config), f"it does not exist; {right}")
    content = read_json(config, "model", "fetch it anew")
    class_name = content.get("_class_name") if isinstance(content, dict) else None
    # Transformer2DModel: diffusers' name for both classes when the models were published
    right = f"a {name} is expected in {file.parent}"
    check(class_name in (name, "Transformer2DModel"), "model", class_name, right)
    return content


def placed(model, precision):
    """The model, frozen, on the GPU if there is one, in bfloat16, float16 or else float32."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision, torch.float32)
    # diffusers' own .to() warns
    return torch.nn.Module.to(model.requires_grad_(False), device, dtype)


def describe(path):
    """-> {"path", "model", "naming", "numerics", "sha256", "known", "published_as", "num_bytes",
    "num_tensors", "num_parameters", and the sizes of a DiT, U-ViT or PixArt}.

    path: a file, a diffusers folder, or a published name below weights.folder(). numerics: those
    that the paper's rows need, None where there is no choice. known: whether the hash is that of a
    published file; published_as: its name, or None. Nothing is unpickled. BadInput where the model
    is none of FORMS.
    """
    path = Path(path) if Path(path).exists() else weights.find(str(path))
    file = weights.file_of(path)
    digest = weights.sha256(file)
    name = next(
        (name for name, published in catalogue.PUBLISHED.items() if published.sha256 == digest),
        None,
    )
    if name == catalogue.CLEAN_INCEPTION:  # TorchScript, which is code: its hash must do
        form, tensors = ("Inception", "clean-fid"), {}
    else:
        tensors = read_tensors(file)
        form = next((form for form, tensor in FORMS.items() if tensor in tensors), None)
    forms = ", ".join(" ".join(form) for form in FORMS)
    right = f"expected the tensors of {forms}; a router is for `router info`"
    check(form, "weights", str(file), right)
    return {
        "path": str(path),
        "model": form[0],
        "naming": form[1],
        # diffusers' copies are converted from the official weights, so they need the same numerics
        "numerics": "official" if form[0] == "DiT" else None,
        "sha256": digest,
        "known": name is not None,
        "published_as": name,
        "num_bytes": file.stat().st_size,
        "num_tensors": len(tensors),
        "num_parameters": sum(value.numel() for value in tensors.values()),
        **_sizes(form, tensors, file),
    }


def _sizes(form, tensors, file):
    try:
        if form in CLASSES:
            return _sizes_of_config(_config(file, CLASSES[form]))
        if form == ("U-ViT", "official"):
            shape = asdict(uvit_official.shape_of(tensors, heads=None))
            return _sizes_of_official({**shape, "num_classes": shape["num_classes"] - 1})
        if form == ("DiT", "official"):
            return _sizes_of_official(dit_official.shape_of(tensors, heads=None))
        return {}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInput(
            f"weights: {file} is no whole {' '.join(form)} model ({first_line(error)})"
        ) from None


def _sizes_of_config(config):
    text = "caption_channels" in config
    last = "caption_channels" if text else "num_embeds_ada_norm"
    return {
        "width": config["num_attention_heads"] * config["attention_head_dim"],
        "depth": config["num_layers"],
        "heads": config["num_attention_heads"],
        "patch": config["patch_size"],
        "sample_size": config["sample_size"],
        ("text_width" if text else "num_classes"): config[last],
    }


def _sizes_of_official(sizes):
    """sizes: of a model's shape, without the number of heads."""
    names = ("width", "depth", "heads", "patch", "sample_size", "num_classes")
    return {name: sizes[name] for name in names} | {"heads": HEADS.get(sizes["width"])}
