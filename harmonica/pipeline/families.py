"""The transformer classes of the installed diffusers: their units, their pipelines, and how often a
pipeline calls its transformer in a step. All of it is read from the classes; no weights are loaded
and nothing is computed.
"""

import ast
import inspect
import pkgutil
import re
import textwrap
from collections import defaultdict
from importlib import import_module

import diffusers
import torch
from diffusers.models import transformers

from harmonica.backbones.branches import branches, by_stack

NOT_TRIED = {
    "AnyFlowFARTransformer3DModel": "it compiles its attention at the first call",
    "Kandinsky6SRTransformer3DModel": "it compiles its attention at the first call",
    "MiniMaxMusic3RVQDepthDecoder": "it decodes autoregressively, without diffusion steps",
    "RFD4ProteinaTransformer": "it generates the atoms of proteins; its transitions are not found",
    "SanaWMLTX2RefinerTransformer3DModel": "it is a distilled refiner with few steps",
    "SanaWMTransformer3DModel": "it needs camera paths, and works on chunks of video",
    "T5FilmDecoder": "it generates spectrograms; its pipeline is deprecated",
    "WanAnimate2Transformer3DModel": "it compiles its attention at the first call",
}
# Feed-forwards that each block calls twice: for the image, then for the prompt.
TWICE = {
    "CogView4Transformer2DModel": "ff",
    "EasyAnimateTransformer3DModel": "ff",
    "GlmImageTransformer2DModel": "ff",
}
# Arguments that a class needs beside its defaults.
NEEDED = {
    "BriaFibo2Transformer2DModel": {"injection_layer_ids": (1,)},
    "DreamLiteTransformer2DModel": {"in_channels": 32, "cross_attention_dim": 8},
    "EasyAnimateTransformer3DModel": {"in_channels": 4, "out_channels": 4, "patch_size": 2},
    "HiDreamImageTransformer2DModel": {
        "patch_size": 2,
        "caption_channels": [8, 8],
        "num_routed_experts": 2,
        "llama_layers": [0, 0],
    },
    "HunyuanDiT2DModel": {"in_channels": 4, "patch_size": 2},
    "LatteTransformer3DModel": {
        "in_channels": 4,
        "patch_size": 2,
        "caption_channels": 8,
        "norm_type": "ada_norm_single",
        "num_embeds_ada_norm": 10,
        "cross_attention_dim": 8,
    },
    "LuminaNextDiT2DModel": {"num_kv_heads": 8},
    "OmniGenTransformer2DModel": {"rope_scaling": {"long_factor": [1], "short_factor": [1]}},
    "SD3Transformer2DModel": {"dual_attention_layers": (0,)},  # as in SD3.5
    "Transformer2DModel": {"in_channels": 32, "cross_attention_dim": 8},
    "TransformerTemporalModel": {"in_channels": 32},
    "WanVACETransformer3DModel": {"vace_layers": [0]},
}
LAYERS = re.compile(
    r"^(num_(hidden_|single_|mmdit_|single_dit_|visual_)?(layers|blocks)|n_?layers|(dit_)?depth)$"
)


def transformer_classes():
    """{name: class} of all models defined among diffusers' transformers, sorted by name."""
    classes = {}
    for module in pkgutil.iter_modules(transformers.__path__):
        module = import_module(f"{transformers.__name__}.{module.name}")
        for name, kind in vars(module).items():
            defined_here = inspect.isclass(kind) and kind.__module__ == module.__name__
            if defined_here and issubclass(kind, diffusers.ModelMixin):
                classes[name] = kind
    return dict(sorted(classes.items()))


def units_per_block(kind):
    """{stack of blocks: names of the units of its largest block} of a class, from an instance
    without weights.
    """
    parameters = inspect.signature(kind.__init__).parameters
    few = {name: 2 for name in parameters if LAYERS.match(name)}
    with torch.device("meta"):
        model = kind(**few | NEEDED.get(kind.__name__, {}))
    twice = TWICE.get(kind.__name__)
    stacks = by_stack((branch.block, _called(branch, twice)) for branch in branches(model))
    return {stack: max(kinds, key=len) for stack, kinds in stacks.items()}


def _called(branch, twice):
    return f"{branch.name} (twice)" if branch.name == twice else branch.name


def pipelines_of():
    """{name of a transformer class: {name of a pipeline class: how often it calls the transformer
    in a step, or None where the steps cannot be told apart}}.
    """
    pipelines = defaultdict(dict)
    for name in dir(diffusers):
        kind = getattr(diffusers, name, None) if "Pipeline" in name else None
        if not (inspect.isclass(kind) and issubclass(kind, diffusers.DiffusionPipeline)):
            continue
        transformer = inspect.signature(kind.__init__).parameters.get("transformer")
        if transformer is None or ".deprecated." in kind.__module__:
            continue
        for model in re.findall(r"\w+", str(transformer.annotation)):
            pipelines[model][name] = calls_in_step(kind)
    return pipelines


def calls_in_step(kind):
    """How many calls of the transformer stand in the source of a pipeline's loop over the steps;
    None where its __call__ has no loop that steps its scheduler.
    """
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(kind.__call__)))
    loops = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.For)]
    loops = [loop for loop in loops if _calls(loop, "self.scheduler.step")]
    names = ("self.transformer", "transformer", "current_model")
    return max((len(_calls(loop, *names)) for loop in loops), default=None)


def _calls(tree, *names):
    """The calls of these functions in a tree of source code."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [node for node in nodes if ast.unparse(node.func) in names]
