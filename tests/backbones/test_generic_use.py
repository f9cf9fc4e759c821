"""The generic backbone beside what else users do with a transformer: hooks, adapters,
checkpointing, other shapes, errors, compilation.
"""

import accelerate
import diffusers
import pytest
import torch
from accelerate.hooks import add_hook_to_module, remove_hook_from_module
from diffusers.hooks import apply_group_offloading, apply_layerwise_casting
from test_generic import equal, later, recorded, tensors
from tiny_transformers import tiny
from torch.utils._pytree import tree_map

from harmonica.backbones.branches import branches, described
from harmonica.backbones.generic import Units
from harmonica.errors import BadInput
from harmonica.method.cache import compute_all, mix, reuse

FLUX, COG = "FluxTransformer2DModel", "CogView4Transformer2DModel"


def test_units_are_numbered_as_they_are_called():
    model, inputs = tiny(COG)
    with Units(model) as units:
        recorded(units, inputs)
    block = ["attn1", "ff", "ff (call 2)"]
    assert units.names == [f"transformer_blocks.{b}.{name}" for b in (0, 1) for name in block]
    assert units.blocks == ["transformer_blocks.0"] * 3 + ["transformer_blocks.1"] * 3


def test_a_fused_block_asks_before_its_first_module():
    model, inputs = tiny(FLUX)
    queries = []
    model.single_transformer_blocks[0].attn.to_q.register_forward_hook(lambda *_: queries.append(1))
    with Units(model) as units, torch.no_grad():
        _, features = recorded(units, inputs)
        single = units.names.index("single_transformer_blocks.0.proj_out")
        keep = [i != single for i in range(len(features))]
        units.run(reuse(keep, features)[0], **inputs)
        assert len(queries) == 1
        units.run(compute_all, **inputs)
        assert len(queries) == 2


def test_a_feature_of_another_shape_is_computed_first():
    """Zeros for the modules of a fused unit are kept per shape of their inputs."""
    model, inputs = tiny(FLUX)
    one = tree_map(lambda tensor: tensor[:1] if tensor.dim() > 2 else tensor, inputs)
    one |= {name: inputs[name][:1] for name in ("timestep", "pooled_projections")}
    with Units(model) as units, torch.no_grad():
        for args in (inputs, one, inputs, one):
            out, features = recorded(units, args)
            at, _ = reuse([False] * len(features), features)
            assert equal(units.run(at, **args, return_dict=False), out)


@pytest.mark.parametrize("name", [FLUX, COG, "SD3Transformer2DModel", "WanTransformer3DModel"])
def test_bfloat16(name):
    model, inputs = tiny(name)
    model.to(torch.bfloat16)
    inputs = {
        key: value.bfloat16() if key.endswith(("states", "projections")) else value
        for key, value in inputs.items()
    }
    with torch.no_grad():
        untouched = model(**inputs, return_dict=False)
    with Units(model) as units:
        kept, features = recorded(units, inputs)
    assert equal(kept, untouched)
    assert {tensor.dtype for tensor in tensors(features)} == {torch.bfloat16}


@pytest.mark.parametrize("name", [FLUX, COG, "SD3Transformer2DModel", "WanTransformer3DModel"])
def test_gradient_checkpointing_asks_the_same_policy_again(name):
    model, inputs = tiny(name)
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            model.train().enable_gradient_checkpointing()
            own = model._gradient_checkpointing_func
        with Units(model) as units:
            _, features = recorded(units, inputs)
            scores = torch.full((len(features),), 0.7, requires_grad=True)
            first, cache = mix(scores, [True] * len(features), features)
            second, _ = mix(scores, [False] * len(features), cache)
            out = units.run(first, **inputs, return_dict=False)[0]
            again = units.run(second, **later(inputs), return_dict=False)[0]
            gradients += torch.autograd.grad(out.square().sum() + again.square().sum(), scores)
    assert model._gradient_checkpointing_func is own
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_an_error_inside_leaves_nothing_held_and_the_model_usable():
    model, inputs = tiny(FLUX)
    with torch.no_grad():
        untouched = model(**inputs, return_dict=False)

    def fails(i, compute):
        if i == 5:
            raise RuntimeError("in the middle")
        return compute()

    with pytest.raises(RuntimeError, match="in the middle"), Units(model) as units:
        units.run(fails, **inputs)
    assert units.at is None and units.ask is None and not units.given
    assert not any("forward" in vars(module) for module in model.modules())
    with torch.no_grad():
        assert equal(model(**inputs, return_dict=False), untouched)


def test_offloaded_leaf_by_leaf():
    """accelerate's hooks on every leaf: ours lies outside, so reuse fetches no weights."""
    model, inputs = tiny(FLUX)
    with torch.no_grad():
        untouched = model(**inputs, return_dict=False)
    accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    hooked = {module: vars(module).get("forward") for module in model.modules()}
    with Units(model) as units:
        kept, features = recorded(units, inputs)
        with torch.no_grad():
            reused = units.run(reuse([False] * 8, features)[0], **inputs, return_dict=False)
        assert equal(kept, untouched) and equal(reused, untouched)
    assert hooked == {module: vars(module).get("forward") for module in model.modules()}


def test_hooks_added_or_removed_in_the_meantime():
    model, inputs = tiny(FLUX)
    attention = model.transformer_blocks[0].attn
    units = Units(model)
    add_hook_to_module(attention, accelerate.hooks.ModelHook())
    units.check_placed()
    units.remove()
    remove_hook_from_module(attention)
    assert attention.forward.__func__ is type(attention).forward
    add_hook_to_module(attention, accelerate.hooks.ModelHook())
    with Units(model) as units:
        units.check_placed()
        remove_hook_from_module(attention)
        with pytest.raises(BadInput, match="transformer_blocks.0.attn was exchanged"):
            units.check_placed()


def test_group_offloading_and_casting_hooks():
    model, inputs = tiny(FLUX)
    apply_group_offloading(model, torch.device("cpu"), offload_type="leaf_level")
    apply_layerwise_casting(model, torch.bfloat16, torch.float32)
    with torch.no_grad():
        untouched = model(**inputs, return_dict=False)
    with Units(model) as units:
        kept, _ = recorded(units, inputs)
    with torch.no_grad():
        assert equal(kept, untouched) and equal(model(**inputs, return_dict=False), untouched)
    hook = model.proj_out._diffusers_hook.get_hook("group_offloading")
    hook.config.stream = object()  # as use_stream=True on a GPU
    with pytest.raises(BadInput, match="leaf by leaf"):
        Units(model)


def test_an_exchanged_module_is_noticed():
    """As an adapter exchanges a linear layer for its own."""
    model, _ = tiny(FLUX)
    block = model.single_transformer_blocks[1]
    with Units(model) as units:
        block.proj_out = torch.nn.Sequential(block.proj_out)
        with pytest.raises(BadInput, match="single_transformer_blocks.1.proj_out was exchanged"):
            units.check_placed()


def test_refusals():
    model, _ = tiny(FLUX)
    with Units(model), pytest.raises(BadInput, match="caching is applied to it already"):
        Units(model)
    with pytest.raises(BadInput, match="no repeated transformer blocks"):
        Units(
            diffusers.UNet2DModel(
                block_out_channels=(8, 8),
                norm_num_groups=2,
                layers_per_block=1,
                down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            )
        )
    with pytest.raises(BadInput, match="compiled as a whole"):
        Units(torch.compile(model))
    model.enable_cache(
        diffusers.PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=2, current_timestep_callback=lambda: 500
        )
    )
    with pytest.raises(BadInput, match="another caching method"):
        Units(model)
    model.disable_cache()
    Units(model).remove()
    model.transformer_blocks[0].compile()
    with pytest.raises(BadInput, match="transformer_blocks.0 is compiled"):
        Units(model)


def test_adapters():
    peft = pytest.importorskip("peft")
    layers = ["to_q", "proj_mlp", "proj_out", "net.2"]
    config = peft.LoraConfig(r=2, target_modules=layers, init_lora_weights=False)
    model, inputs = tiny(FLUX)
    model.add_adapter(config)
    with torch.no_grad():
        untouched = model(**inputs, return_dict=False)
    with Units(model) as units, torch.no_grad():
        kept, features = recorded(units, inputs)
        at, _ = reuse([False] * len(features), features)
        assert equal(kept, untouched)
        assert equal(units.run(at, **inputs, return_dict=False), untouched)


def test_stacks_in_which_no_unit_is_recognised_are_named():
    """Blocks of which a part has a name that no pattern knows would be left out without a word."""

    class Block(torch.nn.Module):
        def __init__(self, name):
            super().__init__()
            self.add_module(name, torch.nn.Sequential(torch.nn.Linear(2, 2)))

    model = torch.nn.Module()
    model.pair_blocks = torch.nn.ModuleList([Block("ff"), Block("ff")])
    model.solo_blocks = torch.nn.ModuleList([Block("mixer"), Block("mixer")])
    model.text_blocks = torch.nn.ModuleList([Block("mixer"), Block("mixer")])
    model.norms = torch.nn.ModuleList([torch.nn.LayerNorm(2), torch.nn.LayerNorm(2)])
    units = [(branch.block, branch.name) for branch in branches(model)]
    assert described(model, units) == "pair_blocks: ff; solo_blocks: none recognised"
    model.pair_blocks.append(Block("attn"))
    units = [(branch.block, branch.name) for branch in branches(model)]
    words = "pair_blocks: ff (2 of 3 blocks) and attn (1 of 3 blocks); solo_blocks: none"
    assert described(model, units).startswith(words)
    del model.pair_blocks
    with pytest.raises(BadInput, match=r"blocks \(stacks: solo_blocks\) in which an attention"):
        branches(model)
