"""harmonica.train on real pipelines with tiny weights: a router for any of them, the same again,
also after a kill and by checkpoints; on a PixArt its update and its lambda are the method's own.
"""

import pytest
import torch
from diffusers import PixArtAlphaPipeline
from test_search import Killed, drawn, error, state_of
from tiny_pipelines import PIPELINES, flux, sd3

import harmonica
from harmonica.digits.manifest import folder
from harmonica.errors import BadInput
from harmonica.method import iepo, sdt
from harmonica.method.denoise import Denoiser
from harmonica.method.learner import Learner
from harmonica.method.router import CLAMP
from harmonica.method.train import initial_logits
from harmonica.pipeline.calls import Call, noise_seed
from harmonica.pipeline.loading import CAPTIONS, load_pipeline
from harmonica.pipeline.replay import Replay
from harmonica.pipeline.train import Trajectories, update
from harmonica.pipeline.walk import PipelineWalk, differentiable
from harmonica.search.walks import uncached
from harmonica.weights.prompts import read_captions

T = 4
NAMES = ("PixArt-alpha", "DiT", "Flux", "SD3", "Wan", "Qwen-Image", "Sana", "Lumina2", "Wan 2.2")
FEW = {"trajectories": 3, "batch": 2, "quiet": True}
MODEL, SEED, CHOSEN = "smoke-pixart-s0", 5, range(2, 5)


@pytest.mark.parametrize("name", NAMES)
def test_the_router_of_a_pipeline_reuses_what_was_asked_for(name, tmp_path):
    pipe, inputs = PIPELINES[name][0]()
    call, before = drawn(pipe, inputs, T), state_of(pipe)
    router = harmonica.train(pipe, call=call, cur=25, out=tmp_path, **FEW)
    assert state_of(pipe) == before
    schedule = router.schedule()
    units, free = schedule.about["units"], schedule.about["free"]
    counted = [i for i, unit in enumerate(units) if unit not in free]
    assert (~schedule.keep[:, counted]).sum() == T * len(counted) // 4
    assert schedule.cur_percent == 25 and schedule.timesteps == router.timesteps
    moved = (router.logits.abs() < CLAMP).any(1)
    assert router.num_steps == T and not moved[0] and moved[-1]
    with torch.no_grad():
        untouched = call(pipe, 1, 2)
    own = error(pipe, call, tmp_path)
    assert 0 < own == error(pipe, call, router)
    everything = harmonica.Schedule(
        keep=torch.ones_like(schedule.keep), timesteps=schedule.timesteps
    )
    assert error(pipe, call, everything) == 0
    with torch.no_grad():
        assert torch.equal(call(pipe, 1, 2), untouched)


def test_the_same_again_another_seed_and_prompts(tiny_pipe):
    pipe = tiny_pipe("alpha")
    options = {**FEW, "steps": T, "guidance": 3.0, "height": 16, "width": 8}
    one, again, other = (
        harmonica.train(pipe, ["a fox", "fog"], seed=seed, **options) for seed in (0, 0, 1)
    )
    assert torch.equal(one.logits, again.logits)
    assert not torch.equal(one.logits, other.logits)
    assert one.about["guidance"] == 3.0 and one.kinds == ("attn", "cross", "mlp")


def test_a_killed_training_goes_on_in_its_folder_and_a_finished_one_runs_nothing(
    tmp_path, monkeypatch
):
    pipe, inputs = flux()
    call, before, walk = drawn(pipe, inputs, T), state_of(pipe), Trajectories.walk
    straight = harmonica.train(pipe, call=call, **FEW)

    def killed(work, learner, trajectory):
        if trajectory == 2:
            raise Killed
        return walk(work, learner, trajectory)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trajectories, "walk", killed)
        harmonica.train(pipe, call=call, out=tmp_path, **FEW)
    assert state_of(pipe) == before and (tmp_path / "state.safetensors").exists()
    resumed = harmonica.train(pipe, call=call, out=tmp_path, **FEW)
    assert torch.equal(resumed.logits, straight.logits)
    assert not (tmp_path / "state.safetensors").exists()
    monkeypatch.setattr(Trajectories, "walk", None)
    again = harmonica.train(pipe, call=call, out=tmp_path, **FEW)
    assert torch.equal(again.logits, straight.logits)
    with pytest.raises(BadInput, match="a router with another cur_percent; choose another"):
        harmonica.train(pipe, call=call, out=tmp_path, cur=40, **FEW)


@pytest.mark.parametrize("name", ["Flux", "Sana"])
def test_by_checkpoints_it_is_the_same(name):
    pipe, inputs = PIPELINES[name][0]()
    call, before = drawn(pipe, inputs, T), state_of(pipe)
    one, other = (
        harmonica.train(pipe, call=call, offload=offload, **FEW) for offload in (False, True)
    )
    assert torch.equal(one.logits, other.logits)
    assert state_of(pipe) == before and not pipe.transformer.is_gradient_checkpointing


def test_image_to_image_and_a_dry_run(capfd):
    pipe, inputs = sd3("StableDiffusion3Img2ImgPipeline", strength=0.5)
    call = drawn(pipe, inputs | {"image": torch.rand(1, 3, 8, 8)}, steps=8)
    assert harmonica.train(pipe, call=call, dry_run=True, batch=2) is None
    said = capfd.readouterr().err
    assert "T = 4" in said and "300 updates and 100 forwards" in said and "memory" in said
    assert harmonica.train(pipe, call=call, **FEW).num_steps == 4


def test_teacher_and_student_start_alike_and_only_the_student_has_a_graph():
    pipe, inputs = PIPELINES["Qwen-Image"][0]()
    with differentiable(pipe), walked(pipe, drawn_call(pipe, inputs)) as replay:
        first = replay.advance(replay.begin((0, range(2))), replay.computed)
        r = torch.ones(len(replay.empty), requires_grad=True)
        with torch.enable_grad():
            _, teacher = replay.guided(first, uncached)
            after, student = replay.guided(first, lambda *given: replay.mixed(r, 0.1, *given))
        assert not teacher.requires_grad and student.requires_grad
        assert torch.equal(teacher, student)  # r = 1 is the computed feature, bit for bit
        assert not any(
            feature.requires_grad
            for _, cache in after.states.values()
            for feature in torch.utils._pytree.tree_leaves(cache)
        )
        assert len(after.states) == 2  # a cache of each of the two passes
        whole = replay.walk(first, replay.computed).images
        stepped = first
        while stepped.step < T:
            stepped = replay.advance(stepped, replay.computed)
        assert torch.equal(stepped.images, whole)


def drawn_call(pipe, inputs):
    from harmonica.pipeline.calls import OwnCall

    return OwnCall(pipe, drawn(pipe, inputs, T))


class walked:  # noqa: N801
    """The Replay of a call."""

    def __init__(self, pipe, draw):
        self.sampling = PipelineWalk(pipe, draw)

    def __enter__(self):
        self.sampling.__enter__().learn(0, range(2))
        return Replay(self.sampling)

    def __exit__(self, *error):
        self.sampling.__exit__(*error)


class SeenByScheduler(Denoiser):
    """A Denoiser whose output is what a PixArt pipeline gives its scheduler: one half, without
    learned sigma.
    """

    def guided(self, out):
        return super().guided(out)[: len(out) // self.copies, : self.backbone.guided_channels]

    def advance(self, point, forward):
        raise NotImplementedError


@pytest.mark.parametrize("guidance", [1.0, 4.5])
def test_on_a_pixart_one_update_and_lambda_are_the_methods_own(guidance):
    path, captions = folder(MODEL) / MODEL, read_captions(CAPTIONS)
    loaded, stock = load_pipeline(path, None, CAPTIONS, "cpu")
    timesteps = loaded.sampler.timesteps(T)
    noise = [torch.Generator().manual_seed(noise_seed(SEED, k)) for k in CHOSEN]
    x = torch.cat([torch.randn(1, *loaded.shape, generator=own) for own in noise])
    logits = initial_logits(T, loaded.backbone.num_blocks, seed=0)
    ours, theirs = (Learner(logits, tau=0.1, lr=0.1) for _ in range(2))
    plain = Denoiser(
        loaded.backbone, loaded.sampler, timesteps, loaded.cond(CHOSEN), scale=guidance
    )
    seen = SeenByScheduler(
        loaded.backbone, loaded.sampler, timesteps, loaded.cond(CHOSEN), scale=guidance
    )
    soft = torch.sigmoid(logits)
    point = plain.advance(plain.begin(x), plain.computed)
    point = plain.advance(point, plain.soft(soft, 0.1))
    fed = plain.images(point).repeat(plain.copies, 1, 1, 1)
    sdt.update_by(seen, theirs)(2, fed, point.cache)
    pipe = PixArtAlphaPipeline.from_pretrained(path)
    draw = Call(pipe, captions, T, guidance, {})
    with walked(pipe, draw) as replay:
        forked = replay.advance(replay.begin((SEED, CHOSEN)), replay.computed)
        forked = replay.advance(forked, replay.soft(soft, 0.1))
        update(replay, ours, forked)
        lambda_ = iepo.leave_one_out(replay, (SEED, CHOSEN), soft, 0.1)
    assert theirs.slopes[2].abs().max() > 0
    close = {"rtol": 1e-3, "atol": 1e-3 * float(theirs.slopes[2].abs().max())}
    assert torch.allclose(ours.slopes[2], theirs.slopes[2], **close)
    assert torch.allclose(lambda_, iepo.leave_one_out(plain, x, soft, 0.1), rtol=1e-3)
