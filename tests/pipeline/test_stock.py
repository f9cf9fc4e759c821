"""Whatever a user changes inside a transformer, a schedule that keeps everything gives the
untouched pipeline's output bit for bit, or is refused in one sentence.

Every module and submodule of a DiT and of two PixArts is changed, one at a time, in every way.
"""

import pytest
import torch

import harmonica
from harmonica.errors import BadInput
from harmonica.method.masks import full
from harmonica.method.router import from_keep

STEPS = 2


def walked(pipe, kept=None):
    """The output of two steps of a pipeline's transformer and scheduler; under a schedule that
    keeps everything where one is given.
    """
    pipe.scheduler.set_timesteps(STEPS)
    model, generator = pipe.transformer, torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    if hasattr(pipe, "text_encoder"):
        inputs = {
            "encoder_hidden_states": torch.randn(2, 5, 16, generator=generator),
            "encoder_attention_mask": torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]),
        }
        if model.use_additional_conditions:
            sizes = {"resolution": torch.full((2, 2), 64.0), "aspect_ratio": torch.ones(2, 1)}
            inputs["added_cond_kwargs"] = sizes
    else:
        inputs = {"class_labels": torch.tensor([3, 7])}
    with pipe.progress_bar(total=STEPS):
        for t in pipe.scheduler.timesteps:
            out = model(x, timestep=t.expand(2), **inputs).sample[:, :4]
            x = pipe.scheduler.step(out, t, x, return_dict=False)[0]
    return x


def larger(out):
    """What a changed module gives: its outputs 1.5 times as large, in whatever form."""
    if isinstance(out, torch.Tensor):
        return out * 1.5 if out.is_floating_point() else out
    return type(out)(map(larger, out))


def hook(pipe, name, module):
    handle = module.register_forward_hook(lambda module, args, out: larger(out))
    return handle.remove


def pre_hook(pipe, name, module):
    handle = module.register_forward_pre_hook(lambda module, args: larger(args))
    return handle.remove


def patched_instance(pipe, name, module):
    own = module.forward
    module.forward = lambda *args, **options: larger(own(*args, **options))
    return lambda: delattr(module, "forward")


def patched_class(pipe, name, module):
    kind, own = type(module), type(module).forward
    kind.forward = lambda self, *args, **options: larger(own(self, *args, **options))
    return lambda: setattr(kind, "forward", own)


def subclass(pipe, name, module):
    kind = type(module)
    forward = lambda self, *args, **options: larger(  # noqa: E731
        kind.forward(self, *args, **options)
    )
    module.__class__ = type("Own", (kind,), {"forward": forward})
    return lambda: setattr(module, "__class__", kind)


class Wrapper(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **options):
        return larger(self.inner(*args, **options))


def wrapper(pipe, name, module):
    pipe.transformer.set_submodule(name, Wrapper(module))
    return lambda: pipe.transformer.set_submodule(name, module)


WAYS = (hook, pre_hook, patched_instance, patched_class, subclass, wrapper)


def outcome(pipe):
    """'equal', 'refused', or what is wrong."""
    try:
        plain = walked(pipe)
    except Exception:
        return "equal"  # the untouched pipeline cannot do it either
    kept = from_keep(full(STEPS, len(pipe.transformer.transformer_blocks) * units(pipe)))
    try:
        with harmonica.apply_router(pipe, kept, assume_timesteps=True):
            routed = walked(pipe)
    except BadInput:
        return "refused"
    return "equal" if torch.equal(plain, routed) else "different"


def units(pipe):
    return 3 if hasattr(pipe, "text_encoder") else 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", ["dit", "alpha", "alpha-sizes"])
@torch.no_grad()
def test_every_module_changed_in_every_way(tiny_pipe, kind, way):
    pipe = tiny_pipe(kind)
    found, untouched = {}, walked(pipe)
    for name, module in list(pipe.transformer.named_modules()):
        # containers are never called
        if not name or isinstance(module, torch.nn.ModuleList):
            continue
        undo = way(pipe, name, module)
        try:
            found[name] = outcome(pipe)
        finally:
            undo()
    wrong = [name for name, said in found.items() if said == "different"]
    assert wrong == []
    # what is called as it is need not be refused; and everything was put back
    assert "equal" in found.values() and torch.equal(walked(pipe), untouched)
    assert outcome(pipe) == "equal"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "changed",
    [
        {"norm_eps": 1e-2},
        {"norm_elementwise_affine": True},
        {"activation_fn": "geglu"},
        {"activation_fn": "gelu"},
        {"attention_bias": False},
        {"upcast_attention": True},
        {"dropout": 0.5},
        {"patch_size": 1},
        {"num_embeds_ada_norm": 20},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["dit", "alpha"])
@torch.no_grad()
def test_every_value_of_the_config_is_read_or_refused(tiny_pipe, kind, changed):
    pipe = tiny_pipe(kind)
    pipe.transformer = type(pipe.transformer).from_config({**pipe.transformer.config, **changed})
    pipe.transformer.eval()
    for parameter in pipe.transformer.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    assert outcome(pipe) in ("equal", "refused")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@torch.no_grad()
def test_the_processes_default_dtype_does_not_matter(tiny_pipe, dtype):
    pipe = tiny_pipe("alpha")
    torch.set_default_dtype(dtype)
    try:
        assert outcome(pipe) == "equal"
    finally:
        torch.set_default_dtype(torch.float32)
