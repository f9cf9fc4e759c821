"""One schedule on any pipeline: everything kept is the untouched pipeline, calls repeat themselves,
predictions of weight one are reuse, a folder serves several numbers of steps, and what does not fit
is refused in one sentence.
"""

import gc
import warnings
import weakref

import pytest
import torch
from tiny_pipelines import (
    PIPELINES,
    STEPS,
    flow,
    flux,
    free_units_of,
    run,
    sd3,
    unet_pipeline,
    untouched,
)
from torch.utils._pytree import tree_leaves

import harmonica
from harmonica.errors import BadInput
from harmonica.method.router import Router
from harmonica.method.schedule import Schedule
from harmonica.pipeline.passes import Passes
from harmonica.pipeline.planned import Planned
from harmonica.pipeline.unit_by_unit import UnitByUnit

NAMES = ("PixArt-alpha", "DiT", "Flux", "SD3", "Wan", "Qwen-Image", "Sana", "Lumina2")
NAMES += ("Wan 2.2", "Chroma", "Z-Image", "CogVideoX")
each_pipeline = pytest.mark.parametrize("name", NAMES)


def begun(pipe, inputs):
    """Names of the units and the timesteps of a call."""
    seen = {}

    def begin(loop):
        seen["timesteps"] = tuple(loop.timesteps.tolist())
        return lambda step, turn: lambda i, compute: compute()

    with Passes(pipe, begin) as walk:
        run(pipe, inputs)
        return tuple(walk.units["transformer"].names), seen["timesteps"]


def every_second(names, timesteps, weights=False, **about):
    """Every second step computes; skipped entries are predicted from `weights` where given."""
    keep = torch.zeros(len(timesteps), len(names), dtype=torch.bool)
    keep[::2] = True
    entries = [] if weights is False else (~keep).nonzero().tolist()
    return Schedule(
        keep=keep,
        weights={(step, i): weights[i] for step, i in entries},
        timesteps=timesteps,
        about={"units": list(names), **about},
    )


def everything(names, timesteps):
    return Schedule(
        keep=torch.ones(len(timesteps), len(names), dtype=torch.bool), timesteps=timesteps
    )


def channels(pipe, inputs):
    """Of every unit, how many channels its feature has."""
    found = {}

    def begin(loop):
        def answer(step, turn):
            def at(i, compute):
                feature = compute()
                parts = feature if isinstance(feature, tuple) else (feature,)
                found[i] = sum(part.shape[-1] for part in parts)
                return feature

            return at

        return answer

    with Passes(pipe, begin):
        run(pipe, inputs)
    return found


@each_pipeline
def test_kept_is_untouched_calls_repeat_and_all_is_put_back(name):
    pipe, inputs = PIPELINES[name][0]()
    plain, (names, timesteps) = run(pipe, inputs), begun(pipe, inputs)
    with harmonica.apply(pipe, everything(names, timesteps)) as applied:
        assert isinstance(applied, Planned if name in ("DiT", "PixArt-alpha") else UnitByUnit)
        assert torch.equal(run(pipe, inputs), plain)
    schedule = every_second(names, timesteps)
    with harmonica.apply(pipe, schedule):
        first = run(pipe, inputs)
        run(pipe, inputs, seed=1)
        assert torch.equal(run(pipe, inputs), first) and not torch.equal(first, plain)
    ones = {
        i: torch.tensor([1.0, 0, 0]).half()[:, None].expand(3, n).contiguous()
        for i, n in channels(pipe, inputs).items()
    }
    # of the first skipped step one feature is known
    predicted = every_second(names, timesteps, ones)
    with harmonica.apply(pipe, predicted):
        assert torch.equal(run(pipe, inputs), first)
    harmonica.apply(pipe, schedule)
    harmonica.remove(pipe)
    assert untouched(pipe) and torch.equal(run(pipe, inputs), plain)


@pytest.mark.parametrize("name", ["DiT", "PixArt-alpha"])
def test_both_engines_give_the_same_predictions(name):
    """A hook that does nothing has the units called as they are."""
    pipe, inputs = PIPELINES[name][0]()
    names, timesteps = begun(pipe, inputs)
    generator = torch.Generator().manual_seed(1)
    weights = {}
    for i, count in channels(pipe, inputs).items():
        weights[i] = (0.5 + 0.1 * torch.randn(3, count, generator=generator)).half()
        weights[i][1] = 0  # one feature is there at the first skipped step
    schedule = every_second(names, timesteps, weights)
    with harmonica.apply(pipe, schedule) as applied:
        assert isinstance(applied, Planned)
        expected = run(pipe, inputs)
    hook = pipe.transformer.transformer_blocks[0].register_forward_hook(lambda *_: None)
    with harmonica.apply(pipe, schedule) as applied:
        assert isinstance(applied, UnitByUnit)
        assert torch.equal(run(pipe, inputs), expected)
    hook.remove()


def test_only_what_a_later_step_needs_is_held_and_nothing_after_an_error():
    pipe, inputs = flux()
    names, timesteps = begun(pipe, inputs)
    keep = torch.ones(STEPS, len(names), dtype=torch.bool)
    keep[2, 0] = False
    held = []
    with harmonica.apply(pipe, Schedule(keep=keep, timesteps=timesteps)) as applied:

        def look(pipe, step, timestep, tensors):
            (slots,) = applied.answer.held.values()
            held.append([i for i, known in slots.items() if known])
            if step == 1:
                found.append(weakref.ref(tree_leaves(slots[0][0][1])[0]))
                raise RuntimeError("in the middle")
            return tensors

        found = []
        with pytest.raises(RuntimeError, match="in the middle"):
            run(pipe, inputs, callback_on_step_end=look)
        gc.collect()
        assert held == [[], [0]] and found[0]() is None and applied.answer is None


def test_image_to_image_counts_rows_from_the_end_and_computes_its_first_step():
    pipe, inputs = sd3("StableDiffusion3Img2ImgPipeline", strength=0.5)
    inputs |= {"image": torch.rand(1, 3, 8, 8), "num_inference_steps": 6}
    names, timesteps = begun(pipe, inputs)
    calls = []
    pipe.transformer.transformer_blocks[0].ff.net[0].register_forward_hook(
        lambda *_: calls.append(1)
    )
    keep = torch.zeros(6, len(names), dtype=torch.bool)
    keep[[0, 4]] = True
    generator = torch.Generator().manual_seed(0)
    weights = {
        (step, i): torch.cat([torch.randn(1, n, generator=generator), torch.zeros(1, n)]).half()
        for step in (3, 5)
        for i, n in channels(pipe, inputs).items()
    }
    calls.clear()
    whole = Schedule(keep=keep, weights=weights, timesteps=timesteps)
    with harmonica.apply(pipe, whole):
        latents = run(pipe, inputs)
    assert len(calls) == 2  # steps 3, which has nothing to reuse, and 4; not 5
    # the three rows that ran, as a schedule of their own
    last = {(step - 3, i): own for (step, i), own in weights.items() if step == 5}
    keep = torch.cat([torch.ones(1, len(names), dtype=torch.bool), keep[4:]])
    rows = Schedule(keep=keep, weights=last, timesteps=timesteps[3:])
    with harmonica.apply(pipe, rows):
        assert torch.equal(run(pipe, inputs), latents)
        words = "timesteps: 6 .* and 2 of them run, but this schedule is for 3: .* or strength, or"
        with pytest.raises(BadInput, match=words):
            run(pipe, inputs, strength=0.3)


@pytest.mark.parametrize("form", ["folders", "files"])
def test_one_folder_serves_several_numbers_of_steps(form, tmp_path):
    pipe, inputs = flux()
    by_steps = {}
    for steps in (3, 4):
        names, timesteps = begun(pipe, inputs | {"num_inference_steps": steps})
        by_steps[steps] = every_second(names, timesteps)
        if form == "folders":
            by_steps[steps].save_pretrained(tmp_path / str(steps))
        else:
            by_steps[steps].save(tmp_path / f"{steps}.safetensors")
    with harmonica.apply(pipe, tmp_path) as applied:
        latents = {steps: run(pipe, inputs, num_inference_steps=steps) for steps in (3, 4)}
        with pytest.raises(
            BadInput, match="5 is not possible; .* but these schedules are for 3, 4"
        ):
            run(pipe, inputs, num_inference_steps=5)
        assert applied.answer is None and len(applied.schedules.by_steps) == 2
    for steps, schedule in by_steps.items():
        with harmonica.apply(pipe, schedule):
            assert torch.equal(run(pipe, inputs, num_inference_steps=steps), latents[steps])


def test_shifted_timesteps_are_accepted_with_one_line():
    pipe, inputs = flux()
    pipe.scheduler = flow(use_dynamic_shifting=True)
    names, timesteps = begun(pipe, inputs)
    with harmonica.apply(pipe, every_second(names, timesteps)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(pipe, inputs)
        with pytest.warns(
            UserWarning, match=r"timesteps are shifted: .* a shift of 1\.\d+"
        ) as seen:
            for _ in range(2):
                run(pipe, inputs, height=128, width=128)
        assert len(seen) == 1
    pipe, inputs = PIPELINES["HunyuanDiT"][0]()
    names, timesteps = begun(pipe, inputs)
    other = every_second(names, tuple(t - 1 for t in timesteps))
    with harmonica.apply(pipe, other), pytest.raises(BadInput, match="timesteps: the scheduler"):
        run(pipe, inputs)


@pytest.mark.parametrize(
    "more, about, words",
    [
        ({"height": 128, "width": 128}, {}, "timesteps are shifted: .* a shift of"),
        ({"sigmas": [1.0, 0.9, 0.5, 0.2]}, {}, "timesteps differ: .*; the schedule is followed by"),
        (
            {"sigmas": [1.0, 0.8, 0.5, 0.2]},
            {"sampler": "UniPCMultistepScheduler"},
            r"differ: .*\(FlowMatchEulerDiscreteScheduler\), .* \(UniPCMultistepScheduler\)",
        ),
    ],
)
def test_a_warning_says_shifted_only_of_what_is(more, about, words):
    pipe, inputs = flux()
    pipe.scheduler = flow(use_dynamic_shifting="sigmas" not in more)
    schedule = every_second(*begun(pipe, inputs), **about)
    with harmonica.apply(pipe, schedule), pytest.warns(UserWarning, match=words) as seen:
        run(pipe, inputs, **more)
    assert len(seen) == 1 and "tests" in seen[0].filename


@pytest.mark.parametrize(
    "source, words",
    [
        (None, "schedule: None is not possible; give .* with dry_run=True returns none"),
        (5, "schedule: 'int' is not possible; give a Schedule or Router, the path of a file"),
        (torch.ones(4, 8, dtype=torch.bool), "schedule: 'Tensor' is not possible"),
        ({4: "s"}, "schedule: 'dict' is not possible"),
        (["s"], "schedule: 'list' is not possible"),
    ],
)
def test_what_is_no_schedule_is_refused(source, words):
    refused(flux()[0], source, words)


@pytest.mark.parametrize("verb", ["search", "train"])
def test_a_folder_of_an_unfinished_search_or_training_says_how_to_go_on(verb, tmp_path):
    name, key = {"search": ("search.json", "search"), "train": ("config.json", "training")}[verb]
    (tmp_path / name).write_text(f'{{"{key}": 1}}')
    (tmp_path / "state.safetensors").write_text("whatever")
    refused(flux()[0], tmp_path, f"was killed or is still running; .*harmonica {verb} ... --out")


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    pipe, inputs = flux()
    monkeypatch.setenv("HOME", str(tmp_path))
    schedule = every_second(*begun(pipe, inputs))
    schedule.save_pretrained(tmp_path / "mine")
    with harmonica.apply(pipe, "~/mine") as applied:
        assert torch.equal(applied.keep, schedule.keep)
    assert torch.equal(Schedule.from_pretrained("~/mine").keep, schedule.keep)
    options = {"steps": 4, "images": 2, "dry_run": True}
    with pytest.raises(BadInput, match="is a file; give a folder"):
        harmonica.search(pipe, out="~/mine/schedule.safetensors", **options)


def refused(pipe, schedule, words, inputs=None, **options):
    """Refused when applied; or, with inputs, at the first call, after which all is released."""
    if inputs is None:
        with pytest.raises(BadInput, match=words) as said:
            harmonica.apply(pipe, schedule, **options)
    else:
        with (
            harmonica.apply(pipe, schedule, **options),
            pytest.raises(BadInput, match=words) as said,
        ):
            run(pipe, inputs)
    assert "\n" not in str(said.value) and untouched(pipe)


def test_refusals():
    pipe, inputs = flux()
    names, timesteps = begun(pipe, inputs)
    own = every_second(names, timesteps)
    refused(
        pipe, every_second(names, timesteps[:3]), "timesteps: 4 is not possible; .* for 3", inputs
    )
    refused(pipe, every_second(names[:-1], timesteps), "8 cacheable units|7 columns", inputs)
    refused(pipe, every_second([*names, "more"], timesteps), "has 8 cacheable units", inputs)
    others = every_second([f"other.{name}" for name in names], timesteps)
    refused(pipe, others, "'unit other.*FluxTransformer2DModel has transformer_blocks.0", inputs)
    of_dit = Schedule(keep=own.keep, timesteps=timesteps, about={"kinds": ["attn", "mlp"]})
    refused(pipe, of_dit, "it is of a DiT or PixArt, this is a FluxTransformer2DModel")
    refused(pipe, own, "a Schedule has its share; leave cur out", cur=50)
    words = "backend: 'cudagraph' is not possible; .*FluxTransf.*eager"
    refused(pipe, own, words, backend="cudagraph")
    refused(pipe, own, "backend: 'compile' .* choose one of eager, cudagraph", backend="compile")
    refused(pipe, "no/such.safetensors", "does not exist")
    with harmonica.apply(pipe, own), pytest.raises(BadInput, match="applied to it already"):
        harmonica.apply(pipe, own)
    with pytest.raises(BadInput, match="nothing to remove"):
        harmonica.remove(pipe)
    unrecorded = Router(logits=torch.zeros(STEPS, len(names)))
    refused(pipe, unrecorded, "assume_timesteps=True")


def test_refusals_of_models(tmp_path):
    pipe, inputs = flux()
    names, timesteps = begun(pipe, inputs)
    schedule = every_second(names, timesteps)
    refused(pipe, tmp_path, "a folder with schedule.safetensors or router.safetensors, or")
    pipe.transformer = torch.compile(pipe.transformer)
    with pytest.raises(BadInput, match="FluxTransformer2DModel is compiled as a whole"):
        harmonica.apply(pipe, schedule)
    with pytest.raises(BadInput, match="DDPMPipeline.*not a U-Net"):
        harmonica.apply(unet_pipeline(), schedule)


def test_a_unit_that_reaches_nothing_may_be_skipped():
    pipe, inputs = PIPELINES["Qwen-Image"][0]()
    plain, (names, timesteps) = run(pipe, inputs), begun(pipe, inputs)
    free = free_units_of(pipe, inputs)
    keep = torch.ones(STEPS, len(names), dtype=torch.bool)
    keep[1:, list(free)] = False
    with harmonica.apply(pipe, Schedule(keep=keep, timesteps=timesteps)):
        assert torch.equal(run(pipe, inputs), plain)
