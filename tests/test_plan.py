"""A plan does what the loop over the mask does, through every backend that the machine has, and
holds only what is live.
"""

import functools
import shutil
import weakref
from dataclasses import replace
from functools import partial

import pytest
import torch
from replays import rerun
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from harmonica.errors import BadInput
from harmonica.fast import fused
from harmonica.fast.cudagraph import GraphPlan
from harmonica.fast.fused import lazy, run_compiled
from harmonica.fast.plan import compile_schedule, follow
from harmonica.method import denoise, masks
from harmonica.method.cache import predicted
from harmonica.method.denoise import run_all
from harmonica.method.schedule import Schedule
from harmonica.samplers import DDIM

MASKS = {
    "full": masks.full(5, 4),
    "FORA": masks.fora(5, 4),
    "random": masks.random(5, 4, 9, seed=1),
    "alone": masks.random(5, 4, 16, seed=0),
    "mixed": torch.tensor([1, 1, 0, 1, 1], dtype=torch.bool)[:, None].repeat(1, 4),
}
FORA = Schedule(keep=MASKS["FORA"])


def planned(denoiser, keep):
    return follow(denoiser, compile_schedule(denoiser.backbone, Schedule(keep=keep)))


def walked(denoiser, x, forward):
    """-> x after every step, the caches between the steps."""
    point, seen, caches = denoiser.begin(x), [], []
    with torch.no_grad():
        while point.step < len(denoiser.timesteps):
            point = denoiser.advance(point, forward)
            seen.append(point.x)
            caches.append(tree_map_only(torch.Tensor, torch.clone, point.cache))
    return torch.stack(seen), caches


@pytest.mark.parametrize("keep", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize(
    "setting",
    [
        dict(scale=1.0),
        dict(scale=1.5),
        dict(tied=False),
        dict(dtype=torch.float64),
        dict(channels=1, out_channels=1, depth=2, width=96, scale=1.0),
    ],
    ids=str,
)
def test_eager_is_the_loop_bit_for_bit(tiny_walk, keep, batch, setting):
    denoiser, x = tiny_walk(batch=batch, **{"dtype": torch.float32, **setting})
    assert torch.equal(
        walked(denoiser, x, planned(denoiser, keep))[0],
        walked(denoiser, x, denoiser.hard(keep))[0],
    )


@pytest.mark.parametrize("keep", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_static_buffers_give_what_eager_gives(tiny_walk, keep, scale):
    """Captured once per step and shape; other labels, other batch sizes and the same ones again
    need no new capture.
    """
    captured, plan = [], None
    for batch, labels in ((2, 0), (3, 4), (2, 5), (3, 1)):
        denoiser, x = tiny_walk(batch=batch, scale=scale, dtype=torch.float32)
        denoiser = with_labels(
            denoiser, plan.backbone if plan else denoiser.backbone, range(labels, labels + batch)
        )
        plan = plan or GraphPlan(
            denoiser.backbone,
            Schedule(keep=keep),
            capture=lambda *args: captured.append(args) or rerun(*args),
        )
        expected = walked(denoiser, x, planned(denoiser, keep))
        got = walked(denoiser, x, follow(denoiser, plan))
        assert torch.equal(got[0], expected[0])
    rows = [*keep.all(1).tolist(), True]
    shared = sum(a and b for a, b in zip(rows, rows[1:]))  # these neither read nor leave a feature
    assert len(captured) == 2 * (len(keep) - max(0, shared - 1))


@pytest.mark.parametrize(
    "make",
    [compile_schedule, lambda *args: GraphPlan(*args, capture=rerun)],
    ids=["eager", "static buffers"],
)
def test_timesteps_are_embedded_once_per_schedule(tiny_walk, make):
    """Not again for another batch of labels or for a denoiser of its own; for another size or
    another timestep, yes.
    """
    denoiser, x = tiny_walk(batch=4, scale=1.0, dtype=torch.float32)
    seen, plain = [], denoiser.backbone.time
    denoiser.backbone.time = lambda t: seen.append(t.tolist()) or plain(t)
    plan = make(denoiser.backbone, FORA)
    for labels in ([1, 2, 3, 4], [5, 6, 7, 8]):
        other = with_labels(denoiser, denoiser.backbone, labels)
        expected, _ = walked(other, x, other.hard(MASKS["FORA"]))
        seen.clear()
        assert torch.equal(walked(other, x, follow(other, plan))[0], expected)
        assert seen == ([[t] * 4 for t in denoiser.timesteps] if labels[0] == 1 else [])
    ctx, t = denoiser.backbone.prepare(torch.tensor([1, 2])), torch.tensor([500, 500])
    for timestep in (500, 400):  # a caller's own tensor may be written into
        t.fill_(timestep)
        seen.clear()
        out, _ = plan.step(0, x[:2], t, ctx, plan.empty())
        assert seen == [t.tolist()] and torch.equal(out, run_all(denoiser.backbone, x[:2], t, ctx))


def test_static_buffers_made_in_inference_mode_serve_outside(tiny_walk):
    denoiser, x = tiny_walk(dtype=torch.float32)
    plan = GraphPlan(denoiser.backbone, FORA, capture=rerun)
    with torch.inference_mode():
        denoiser.walk(denoiser.begin(x), follow(denoiser, plan))
    assert torch.equal(
        walked(denoiser, x, follow(denoiser, plan))[0],
        walked(denoiser, x, planned(denoiser, MASKS["FORA"]))[0],
    )


def test_with_static_buffers_a_walk_cannot_be_forked(tiny_walk):
    denoiser, x = tiny_walk(dtype=torch.float32)
    forward = follow(denoiser, GraphPlan(denoiser.backbone, FORA, capture=rerun))
    point = denoiser.advance(denoiser.begin(x), forward)
    denoiser.walk(denoiser.begin(x), forward)
    with pytest.raises(BadInput, match="cache: .* one trajectory is walked at a time"):
        denoiser.advance(point, forward)


def test_static_buffers_belong_to_one_device(tiny_walk):
    (denoiser, x), time = tiny_walk(scale=1.0, dtype=torch.float32), torch.zeros(1)
    plan = GraphPlan(denoiser.backbone, FORA, capture=rerun)
    here, there = (plan._buffers(x.to(device), time, ()) for device in ("cpu", "meta"))
    assert (here.moving.leaves[0].device.type, there.moving.leaves[0].device.type) == (
        "cpu",
        "meta",
    )
    assert plan._buffers(x, time, ()) is here


def test_with_static_buffers_a_walk_keeps_its_shape(tiny_walk):
    """Buffers of the other shape would hold another walk's features. What is refused leaves the
    walk as it was.
    """
    (denoiser, x), (larger, y) = (
        tiny_walk(batch=batch, scale=1.0, dtype=torch.float32) for batch in (2, 3)
    )
    plan = GraphPlan(denoiser.backbone, FORA, capture=rerun)
    denoiser.walk(denoiser.begin(x), follow(denoiser, plan))
    expected = walked(larger, y, planned(larger, MASKS["FORA"]))[0]
    point = larger.advance(larger.begin(y), follow(larger, plan))
    other = with_labels(larger, larger.backbone, [7, 8, 9])
    for own, z, cache in ((denoiser, x, point.cache), (other, y, denoiser.begin(x).cache)):
        with pytest.raises(BadInput, match="cache: .* one trajectory is walked at a time"):
            own.advance(replace(own.begin(z, 1), cache=cache), follow(own, plan))
    assert torch.equal(larger.walk(point, follow(larger, plan)).x, expected[-1])


@pytest.mark.parametrize(
    "device",
    [
        pytest.param(
            "cpu",
            marks=pytest.mark.skipif(
                not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))),
                reason="torch.compile needs a C++ compiler",
            ),
        ),
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(
                not torch.cuda.is_available(), reason="CUDA graphs need a GPU"
            ),
        ),
    ],
)
def test_compiled_units_and_cuda_graphs_agree_with_eager(tiny_walk, device):
    denoiser, x = tiny_walk(num_steps=3, dtype=torch.float32, depth=1, width=16)
    denoiser.backbone.model.to(device)
    denoiser, x, keep = (
        with_labels(denoiser, denoiser.backbone, [1, 2], device),
        x.to(device),
        masks.fora(3, 2),
    )
    make = partial(compile_schedule, backend="cudagraph") if device == "cuda" else lazy_plan
    plan = make(denoiser.backbone, Schedule(keep=keep))
    expected, _ = walked(denoiser, x, planned(denoiser, keep))
    for _ in range(2):
        got, _ = walked(denoiser, x, follow(denoiser, plan))
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


class Called(TorchDispatchMode):
    """The operators that are called, views left out."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if not function.is_view:
            self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "make",
    [
        compile_schedule,
        lambda *args: GraphPlan(*args, capture=lambda function, device: (lambda: None, function())),
    ],
    ids=["eager", "static buffers"],
)
@pytest.mark.parametrize("model", ["dit", "pixart", "pixart with sizes"])
def test_on_a_gpu_nothing_is_waited_for_and_no_devices_mix(
    tiny_dit, tiny_pixart, tiny_prompts, model, make
):
    """On tensors that only say they are on a GPU: there reading a value (.item(), a branch) and
    mixing devices raise.
    """
    fake, sizes = FakeTensorMode(), model == "pixart with sizes"
    backbone = (
        tiny_dit(dtype=torch.bfloat16)
        if model == "dit"
        else tiny_pixart(dtype=torch.bfloat16, sizes=sizes)
    )
    keep = masks.random(5, backbone.num_blocks, 9, seed=1)
    cond = torch.arange(2) if model == "dit" else tiny_prompts(2, dtype=torch.bfloat16, sizes=sizes)

    def on_gpu(tensor):
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")

    with fake:
        for module in backbone.model.modules():
            for name, parameter in module._parameters.items():
                module._parameters[name] = (
                    None if parameter is None else torch.nn.Parameter(on_gpu(parameter), False)
                )
            for name, buffer in module._buffers.items():
                module._buffers[name] = on_gpu(buffer)
        cond = (
            on_gpu(cond)
            if model == "dit"
            else replace(
                cond,
                **{
                    name: on_gpu(tensor)
                    for name, tensor in vars(cond).items()
                    if tensor is not None
                },
            )
        )
        x = torch.empty(2, 4, 8, 8, device="cuda")
    plan = make(backbone, Schedule(keep=keep))
    with fake, torch.no_grad():
        denoiser = denoise.Denoiser(backbone, DDIM(), DDIM().timesteps(5), cond, scale=1.5)
        for _ in range(2):  # the second finds what the first has kept
            with Called() as called:
                point = denoiser.walk(denoiser.begin(x), follow(denoiser, plan))
    assert (point.x.device.type, point.x.dtype) == ("cuda", torch.float32)
    assert called.names and not {
        name for name in called.names if "_local_scalar_dense" in name or "nonzero" in name
    }


def test_nothing_is_compiled_twice(tiny_walk, monkeypatch):
    """Two batch sizes: what is compiled serves the next plan as well."""
    made, translate = [], functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(
        torch, "compile", lambda *args, **kw: made.append(1) or translate(*args, **kw)
    )
    monkeypatch.setattr(fused, "_compiled", {})
    counts = []
    for again in (False, True):
        for batch in (1, 2):
            denoiser, x = tiny_walk(batch=batch)
            plan = lazy_plan(denoiser.backbone, Schedule(keep=masks.random(5, 4, 9, seed=1)))
            with torch._dynamo.config.patch(error_on_recompile=again):
                walked(denoiser, x, follow(denoiser, plan))
        counts.append(len(made))
    assert counts[0] == counts[1] > 0


def test_a_unit_is_compiled_for_its_own_sizes(monkeypatch):
    """Not for any size, which is slower, because another model was compiled before."""
    symbols = []

    def backend(graph, inputs):
        symbols.append([value for value in inputs if isinstance(value, torch.SymInt)])
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    for side in (2, 3, 4):
        run_compiled(unit, torch.randn(1, side))
    assert symbols == [[], [], []]


def unit(x):
    return x + 1


def with_labels(denoiser, backbone, labels, device="cpu"):
    labels = torch.tensor([*labels], device=device)
    return type(denoiser)(
        backbone, denoiser.sampler, denoiser.timesteps, labels, scale=denoiser.scale
    )


def test_between_and_within_steps_only_live_features_are_held(tiny_walk):
    """Alive at any block: what the step was given, what it computed and the next one reuses, and
    the block's own output.
    """
    keep = MASKS["random"]
    denoiser, x = tiny_walk(dtype=torch.float32, scale=1.0)
    alive, limits, step, plain = [], [], [0], denoiser.backbone.through

    def through(h, c, at):
        def watched(i, compute):
            def computed():
                out = compute()
                alive.append(weakref.ref(out))
                given = 0 if step[0] == 0 else int((~keep[step[0]]).sum())
                written = keep[step[0], :i] & (~keep[step[0] + 1, :i] if step[0] < 4 else False)
                most = given + int(written.sum()) + 1
                limits.append((sum(ref() is not None for ref in alive), most))
                return out

            return at(i, computed)

        return plain(h, c, watched)

    denoiser.backbone.through = through
    point, forward = denoiser.begin(x), planned(denoiser, keep)
    while point.step < 5:
        step[0] = point.step
        point = denoiser.advance(point, forward)
        held = [slot is not None for slot in point.cache]
        assert held == (~keep[point.step]).tolist() if point.step < 5 else not any(held)
    assert limits and all(count <= most for count, most in limits)


def test_the_cache_is_in_the_models_dtype(tiny_walk):
    denoiser, x = tiny_walk(dtype=torch.bfloat16)
    point = denoiser.advance(denoiser.begin(x), planned(denoiser, MASKS["FORA"]))
    assert {feature.dtype for slot in point.cache for feature in slot} == {torch.bfloat16}


def test_what_a_step_computes_is_known_ahead(tiny_walk):
    plan = compile_schedule(tiny_walk()[0].backbone, Schedule(keep=MASKS["random"]))
    assert [list(row) for row in plan.rows] == MASKS["random"].tolist()


@pytest.mark.parametrize(
    "keep, backend, words",
    [
        (
            MASKS["full"],
            "fast",
            "backend: 'fast' is not possible; choose one of eager, cudagraph",
        ),
        (
            masks.full(5, 6),
            "eager",
            "schedule: 'N = 6' is not possible; this backbone has 4 blocks",
        ),
    ],
)
def test_what_cannot_be_planned_is_refused(tiny_walk, keep, backend, words):
    with pytest.raises(BadInput, match=words):
        compile_schedule(tiny_walk()[0].backbone, Schedule(keep=keep), backend)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_cuda_graphs_without_a_gpu_are_refused_in_a_sentence(tiny_walk):
    with pytest.raises(
        BadInput, match="backend: 'cudagraph' is not possible; CUDA graphs need a CUDA device"
    ):
        compile_schedule(tiny_walk()[0].backbone, Schedule(keep=MASKS["full"]), "cudagraph")


def weights_for(keep, channels, features=2, seed=0):
    """Random weights for three quarters of the skipped entries; none for features that are not
    there yet.
    """
    generator, known = torch.Generator().manual_seed(seed), keep.cumsum(0)
    weights = {}
    for k, (step, i) in enumerate((~keep).nonzero().tolist()):
        if k % 4:
            own = 0.3 * torch.randn(features + 1, channels, generator=generator)
            own[int(known[step, i]) : -1] = 0
            weights[step, i] = own.half()
    return weights


def by_the_policy(denoiser, keep, weights):
    """The plain way: every computed feature is kept for ever."""

    def forward(step, x, cache):
        cache = list(cache)

        def at(i, compute):
            if keep[step, i]:
                cache[i] = (compute(), *(cache[i] or ()))
                return cache[i][0]
            own = weights.get((step, i))
            return cache[i][0] if own is None else predicted(own, cache[i][: len(own) - 1])

        return denoiser.run(step, x, at), cache

    return forward


@pytest.mark.parametrize("make", ["eager", "static buffers"])
@pytest.mark.parametrize("name", ["FORA", "random", "alone"])
@pytest.mark.parametrize("features", [1, 2, 3])
def test_predicted_blocks_are_what_the_policy_predicts(tiny_walk, name, features, make):
    keep, (denoiser, x) = MASKS[name], tiny_walk(dtype=torch.float32)
    weights = weights_for(keep, denoiser.backbone.model.inner_dim, features)
    schedule = Schedule(keep=keep, weights=weights)
    if make == "static buffers":
        plan = GraphPlan(denoiser.backbone, schedule, capture=rerun)
    else:
        plan = compile_schedule(denoiser.backbone, schedule, make)
    expected, _ = walked(denoiser, x, by_the_policy(denoiser, keep, weights))
    for _ in range(2):
        assert torch.equal(walked(denoiser, x, follow(denoiser, plan))[0], expected)
    reused = walked(denoiser, x, planned(denoiser, keep))[0]
    assert not torch.equal(expected[-1], reused[-1])


def lazy_plan(backbone, schedule):
    """What the backend "cudagraph" makes on a GPU."""
    backbone, predict = lazy(backbone)
    return GraphPlan(backbone, schedule, rerun, predict)


@pytest.mark.parametrize("model", ["dit", "pixart", "pixart with sizes"])
@pytest.mark.parametrize("features", [0, 1, 2])
def test_features_that_are_added_later_give_the_same_sum(
    tiny_dit, tiny_pixart, tiny_prompts, model, features, monkeypatch
):
    """However many are skipped in a row, reused, predicted or both."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    sizes = model == "pixart with sizes"
    backbone = tiny_dit(depth=6) if model == "dit" else tiny_pixart(sizes=sizes)
    cond = torch.arange(2) if model == "dit" else tiny_prompts(2, sizes=sizes)
    blocks = backbone.num_blocks
    keep = torch.cat([masks.fora(4, blocks), masks.random(8, blocks, 3 * blocks, seed=2)])
    weights = weights_for(keep, backbone.model.inner_dim, features) if features else {}
    weights = {entry: own for entry, own in weights.items() if sum(entry) % 3}
    side = backbone.sample_size
    x = torch.randn(len(keep), 2, backbone.in_channels, side, side, dtype=torch.float64)
    results = []
    schedule = Schedule(keep=keep, weights=weights)
    for plan in (lazy_plan(backbone, schedule), compile_schedule(backbone, schedule)):
        for _ in range(2):
            cache, ctx = plan.empty(), backbone.prepare(cond)
            outs = []
            for step, own in enumerate(x):
                out, cache = plan.step(step, own, torch.full((2,), 500 - step), ctx, cache)
                outs.append(out)
            results.append(torch.stack(outs))
    for result in results:
        torch.testing.assert_close(result, results[-1], rtol=1e-9, atol=1e-9)


def test_a_weight_of_one_is_reuse_bit_for_bit(tiny_walk):
    keep, (denoiser, x) = MASKS["random"], tiny_walk(dtype=torch.float32)
    own = torch.zeros(3, denoiser.backbone.model.inner_dim, dtype=torch.float16)
    own[0] = 1
    weights = {tuple(entry): own for entry in (~keep).nonzero().tolist()}
    plan = compile_schedule(denoiser.backbone, Schedule(keep=keep, weights=weights))
    reused = walked(denoiser, x, planned(denoiser, keep))
    got = walked(denoiser, x, follow(denoiser, plan))
    assert torch.equal(got[0], reused[0])
    # and no second feature is held for weights that are zero
    assert [[len(slot or ()) for slot in cache] for cache in got[1]] == [
        [len(slot or ()) for slot in cache] for cache in reused[1]
    ]


def test_two_features_are_held_only_where_a_prediction_needs_them(tiny_walk):
    keep, (denoiser, x) = masks.fora(5, 4), tiny_walk(dtype=torch.float32)
    own = torch.ones(3, denoiser.backbone.model.inner_dim, dtype=torch.float16)
    plan = compile_schedule(denoiser.backbone, Schedule(keep=keep, weights={(3, 1): own}))
    _, caches = walked(denoiser, x, follow(denoiser, plan))
    counts = [[len(slot or ()) for slot in cache] for cache in caches]
    assert counts == [[1] * 4, [0, 1, 0, 0], [1, 2, 1, 1], [0] * 4, [0] * 4]
