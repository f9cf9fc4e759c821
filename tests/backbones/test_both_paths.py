"""The hand-written DiT and PixArt and the generic backbone: the same features and images, bit for
bit.
"""

import pytest
import torch
from tiny_pipelines import dit, pixart, run

from harmonica.backbones.generic import Units
from harmonica.backbones.stock import ASSUMED
from harmonica.method.cache import reuse
from harmonica.method.router import from_keep
from harmonica.pipeline.apply import apply_router
from harmonica.pipeline.passes import Passes
from harmonica.pipeline.transformers import KNOWN, backbone_of, conditioning

KEEP = [
    [True, True, True, True, True, True],
    [True, False, True, False, True, True],
    [False, True, False, True, True, False],
    [False, False, True, True, False, False],
]


def recording(features):
    def at(i, compute):
        features[i] = compute()
        return features[i]

    return at


def test_what_a_backbone_assumes_is_checked_for_every_class_that_has_one():
    assert set(KNOWN) == set(ASSUMED)


@pytest.mark.parametrize("make", [dit, pixart])
def test_features_and_outputs(make):
    pipe, inputs = make()
    calls = []
    model = pipe.transformer
    hook = model.register_forward_pre_hook(
        lambda model, args, kwargs: calls.append((args, kwargs)), with_kwargs=True
    )
    run(pipe, inputs)
    hook.remove()
    backbone = backbone_of(pipe)
    for args, kwargs in calls:
        generic, own = {}, {}
        with torch.no_grad(), Units(model) as units:
            out = units.run(recording(generic), *args, **kwargs)
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        x = args[0] if args else kwargs.pop("hidden_states")
        t = kwargs.pop("timestep")
        kwargs.pop("return_dict", None)
        make_condition, tensors = conditioning(model, kwargs)
        with torch.no_grad():
            ctx = backbone.prepare(make_condition(*tensors))
            again = backbone.through(*backbone.start(x, t, ctx), recording(own))
        assert torch.equal(out[0], again)
        assert list(generic) == list(own) == list(range(backbone.num_blocks))
        assert all(torch.equal(a, b) for a, b in zip(generic.values(), own.values()))


@pytest.mark.parametrize("make", [dit, pixart])
def test_images_of_a_schedule(make):
    pipe, inputs = make()
    blocks = backbone_of(pipe).num_blocks
    keep = torch.tensor(KEEP)[:, :blocks]

    def begin(loop):
        caches = {}

        def answer(step, turn):
            at, caches[turn] = reuse(keep[step].tolist(), caches.get(turn) or [None] * blocks)
            return at

        return answer

    with Passes(pipe, begin):
        generic = run(pipe, inputs)
    pipe.scheduler.set_timesteps(len(keep))
    with apply_router(pipe, from_keep(keep, timesteps=tuple(pipe.scheduler.timesteps.tolist()))):
        own = run(pipe, inputs)
    assert torch.equal(generic, own)
    assert not torch.equal(own, run(pipe, inputs))
