"""harmonica.search and harmonica.train say in one sentence what is wrong with an argument, before
anything runs; nothing that a user gives is overwritten or dropped in silence.
"""

import pytest
import torch
from test_search import SMALLER, assert_same, drawn, state_of
from test_train import FEW
from tiny_pipelines import flux

import harmonica
from harmonica.errors import BadInput
from harmonica.method.schedule import Schedule
from harmonica.pipeline.calls import Call

VERBS = {
    "search": {"images": 2, "rounds": 0, "quiet": True, "dry_run": True},
    "train": {"trajectories": 2, "batch": 2, "quiet": True, "dry_run": True},
}
each_verb = pytest.mark.parametrize("verb", VERBS)


def refused(words, verb, pipe, *prompts, **options):
    with pytest.raises(BadInput, match=words) as error:
        getattr(harmonica, verb)(pipe, *prompts, **VERBS[verb] | options)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def pipe():
    return flux()[0]


@each_verb
@pytest.mark.parametrize(
    "options, words",
    [
        ({"steps": [20, 50]}, r"steps: \[20, 50\] is not possible; give one whole number"),
        ({"steps": "4"}, "steps: '4'"),
        ({"guidance": float("nan")}, "guidance: nan is not possible; give the scale as a number"),
        ({"guidance": -3}, "guidance: -3 is not possible"),
        ({"out": ""}, "out: '' is not possible; give the path of a folder"),
        ({"steps": 4.0}, "steps: 4.0"),
        ({"steps": 1}, "steps: 1 is not possible"),
        ({"steps": True}, "steps: True"),
        ({"cur": 120}, "cur: 120 is not possible"),
        ({"cur": "50"}, "cur: '50' is not possible; give the share"),
        ({"cur": 0.5}, "cur: 0.5 is not possible; it is a percentage: 50 skips half"),
        ({"guidance": "3"}, "guidance: '3' is not possible; give the scale as a number"),
        ({"batch": 0}, "batch: 0 is not possible; give a whole number, at least 1"),
        ({"batch": -1}, "batch: -1"),
        ({"seed": -1}, "seed: -1 is not possible; give a whole number, at least 0"),
        ({"prompts": []}, "prompts: .* give at least one"),
        ({"prompts": [1, 2]}, "prompts: 1 is not possible; give a list of captions"),
        ({"prompts": {"a fox": 1}}, "prompts: .*give a list of captions"),
        ({"out": __file__}, "out: .* is not possible; it is a file; give a folder"),
        ({"out": 5}, "out: 5 is not possible; give the path of a folder"),
        ({"call": "mine"}, "call: 'mine' is not possible; give a function"),
        ({"prompt": "a fox"}, "argument: 'prompt' is not possible; prompts= gives the captions"),
        ({"num_inference_steps": 6}, "'num_inference_steps' is not possible; steps= says"),
        ({"generator": None}, "'generator' is not possible; seed= decides the noise"),
        ({"return_dict": False}, "'return_dict' is not possible; leave it out"),
        ({"num_images_per_prompt": 2}, "'num_images_per_prompt' is not possible; leave it out"),
        ({"prompt_embeds": torch.zeros(1)}, "prompt_embeds is not possible.* give call=, a funct"),
        ({"guidance": 2, "true_cfg_scale": 3}, "true_cfg_scale: 3 is not possible; guidance=2"),
        ({"negative_prompt": ["a", "b"]}, "negative_prompt: .* one for each of the 64 prompts"),
        ({"negative_prompt": [1]}, "negative_prompt: .* give a text"),
        ({"heigth": 512}, "'heigth' is not possible; FluxPipeline takes prompt_2, negative"),
    ],
    ids=str,
)
def test_one_sentence_for_each_mistake(verb, options, words, pipe):
    before = state_of(pipe)
    refused(words, verb, pipe, **options)
    assert state_of(pipe) == before


def test_mistakes_of_each_alone(pipe):
    for count in (0, 2.5):
        words = f"{count} is not possible; give a whole number, at least 1"
        refused(f"images: {words}", "search", pipe, images=count)
        refused(f"trajectories: {words}", "train", pipe, trajectories=count)
    refused("predict: 'no' is not possible; give True or False", "search", pipe, predict="no")


def failing(pipe, seed, count):
    raise ValueError("no such size")


@each_verb
def test_what_a_call_of_the_user_s_own_may_not_do(verb):
    pipe, inputs = flux()
    call, before = drawn(pipe, inputs, 4), state_of(pipe)
    for own, words in (
        (lambda pipe, seed, count: torch.zeros(2, 2), "ended without a call of its transf"),
        (lambda pipe, seed, count: call(pipe, seed, count + 1), "latents of 2 images"),
        (lambda pipe, *given: str(call(pipe, *given)), "return the latents"),
        (failing, "pipe: its call fails: no such size"),
        (
            lambda pipe, *given: (call if given[1] == 1 else failing)(pipe, *given),
            "its call fails for . images at once .batch=1 calls it for one.: no such size",
        ),
        (lambda pipe, *given: call(pipe, *given) * torch.nan, "pipe: .*NaN or infinity"),
    ):
        refused(words, verb, pipe, call=own)
    refused("cur: 90 percent is not possible; with T = 4", verb, pipe, call=call, cur=90)
    without = {"call": torch.no_grad()(call), "dry_run": False}
    refused("its result has no gradient", verb, pipe, **without)
    assert state_of(pipe) == before


def test_a_batch_that_does_not_divide_the_images():
    pipe, inputs = flux()
    words = "batch: 3 is not possible; it must divide"
    refused(words, "search", pipe, call=drawn(pipe, inputs, 4), batch=3)


@each_verb
def test_a_pipeline_that_was_changed_before(verb):
    pipe, inputs = flux()
    call, keep = drawn(pipe, inputs, 4), torch.ones(4, 6, dtype=torch.bool)
    with harmonica.apply(pipe, Schedule(keep=keep), assume_timesteps=True):
        refused("caching is applied to it already; harmonica.remove", verb, pipe, call=call)
    pipe.transformer = torch.compile(pipe.transformer)
    refused("FluxTransformer2DModel is compiled", verb, pipe, call=call)


@each_verb
@pytest.mark.parametrize("options", [{"prompts": ["a fox"]}, {"height": 64}])
def test_what_a_call_of_the_user_s_own_would_drop_is_refused(verb, options):
    pipe, inputs = flux()
    refused(
        "the function given as call= decides it", verb, pipe, call=drawn(pipe, inputs), **options
    )


@each_verb
def test_class_labels(verb, tiny_pipe):
    pipe = tiny_pipe("dit")
    refused("prompts: .* give a list of class labels", verb, pipe, ["a fox"])
    refused(r"prompts: 1000000 is not possible; class labels lie in 0\.\.", verb, pipe, [3, 10**6])


@each_verb
def test_what_is_no_pipeline(verb, pipe):
    refused("give a diffusers pipeline itself", verb, pipe.transformer)


@pytest.mark.parametrize(
    "value, texts",
    [
        ("grey", ["grey"] * 4),
        (["grey"], ["grey"] * 4),
        (("grey", "dark", "red"), ["grey", "dark", "red", "grey"]),
        (None, ""),
    ],
)
def test_negative_prompts_go_with_their_images(value, texts, tiny_pipe, monkeypatch):
    pipe, encoded = tiny_pipe("alpha"), []
    encode = pipe.encode_prompt

    def recorded(*args, negative_prompt, **kwargs):
        encoded.append(negative_prompt)
        return encode(*args, negative_prompt=negative_prompt, **kwargs)

    monkeypatch.setattr(pipe, "encode_prompt", recorded)
    size = {"height": 16, "width": 8, "max_sequence_length": 16}
    Call(pipe, ["a fox", "fog", "a train"], 2, 3.0, {"negative_prompt": value, **size})(0, range(4))
    assert encoded == [texts]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_may_be_switched_off_around_it(mode):
    pipe, inputs = flux()
    call = drawn(pipe, inputs, 4)
    schedule = harmonica.search(pipe, call=call, **SMALLER)
    router = harmonica.train(pipe, call=call, **FEW)
    with mode():
        assert_same(harmonica.search(pipe, call=call, **SMALLER), schedule)
        assert torch.equal(harmonica.train(pipe, call=call, **FEW).logits, router.logits)
    with torch.set_grad_enabled(False):
        harmonica.search(pipe, call=call, **SMALLER | {"images": 2})


def test_arguments_may_be_given_by_position(pipe):
    with pytest.raises(BadInput, match="cur: 120"):
        harmonica.search(pipe, ["a fox"], 4, 120)
