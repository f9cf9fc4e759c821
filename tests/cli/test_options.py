"""Every option of every command, with wrong types, signs and sizes: exit 2, one sentence, nothing
started.
"""

import argparse

import pytest
from PIL import Image

import analysis.__main__
import experiments.__main__
import harmonica.__main__
import harmonica.bench.__main__
from harmonica.cli import command

PROGRAMS = {
    "harmonica": harmonica.__main__.parser,
    "experiments": experiments.__main__.parser,
    "analysis": analysis.__main__.parser,
    "harmonica.bench": harmonica.bench.__main__.parser,
}

WRONG = {
    "whole": ["x", "1.5", "-1", "nan", "inf", "", " ", "1e3", "9" * 30, "9" * 5000, "0x10"],
    "real": ["x", "-1", "nan", "inf", "-inf", "", " ", "1e999", "1,5", "-0.001", "1e6"],
    "text": ["", " ", "\t"],
    "choice": ["", "nonsense", "0"],
}

EITHER = ("samples", "make_reference")  # of which `evaluate` takes one


def leaves(top):
    """-> (words of the command, its parser)."""
    found = []
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, own in action.choices.items():
                found += [([name, *words], leaf) for words, leaf in leaves(own)]
    return found or [([], top)]


def takes(action, value):
    try:
        action.type(value)
    except (argparse.ArgumentTypeError, ValueError):
        return False
    return True


def kind(action):
    if action.choices:
        return "choice"
    if takes(action, "word") or takes(action, "a.npz") or takes(action, "abcdef0123"):
        return "text"
    if any(takes(action, value) for value in ("x.png", "x.pt")):
        return "text"
    return "real" if any(takes(action, value) for value in ("0.5", "1.5")) else "whole"


def good(action):
    if action.choices:
        return list(action.choices)[0]
    values = ("word", "16", "2", "0.5", "a.npz", "a.png", "a.pt", "abcdef0123")
    return next(value for value in values if takes(action, value))


OPTIONS = [
    (program, words, action)
    for program, parser in PROGRAMS.items()
    for words, leaf in leaves(parser())
    for action in leaf._actions
    if action.nargs != 0 and action.dest != "help"
]


def test_every_option_says_what_it_takes():
    commands = {(program, *words) for program, words, _ in OPTIONS}
    assert len(commands) >= 20 and len(OPTIONS) > 80
    for program, words, action in OPTIONS:
        assert action.type or action.choices, (program, words, action.dest)


@pytest.mark.parametrize(
    "program, words, action",
    OPTIONS,
    ids=["-".join([program, *words, action.dest]) for program, words, action in OPTIONS],
)
def test_wrong_values_start_nothing(program, words, action, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    top = PROGRAMS[program]()
    leaf = dict((tuple(name), leaf) for name, leaf in leaves(top))[tuple(words)]
    started = []
    leaf.set_defaults(function=lambda arguments: started.append(arguments))

    def call(value):
        line = list(words)
        for other in leaf._actions:
            given = value if other.dest == action.dest else None
            if given is None and not other.required:
                continue
            given = good(other) if given is None else given
            # with "=", so that what begins with a dash is a value
            line += [f"{other.option_strings[0]}={given}"] if other.option_strings else [given]
        if "--samples" in leaf._option_string_actions and action.dest not in EITHER:
            line += ["--samples=x"]
        return command.run(lambda argv: (a := top.parse_args(argv)).function(a), line)

    assert call(good(action)) == 0 and started, capfd.readouterr().err
    started.clear()
    for value in WRONG[kind(action)]:
        if value.startswith("-") and not action.option_strings:
            continue
        assert call(value) == 2, value[:40]
        (line,) = capfd.readouterr().err.splitlines()
        name = action.option_strings[0] if action.option_strings else action.metavar or action.dest
        assert line.startswith(f"error: argument {name}: ") or f"/{name}: " in line
        assert not started and not list(tmp_path.iterdir())


def test_options_are_written_in_full_and_known(refused_here):
    train = ["train", "--model", "x", "--steps", "10", "--cur", "50", "--out", "y"]
    refused_here(*train, "--traj", "5", words=["unrecognized arguments: --traj"])
    refused_here(*train, "--verbose", words=["--verbose"])
    refused_here(*train[:-2], words=["--out"])
    refused_here(*train, "--batch=--", words=["--batch: expected one argument"])


def test_samplers_are_those_that_a_pipeline_can_be_given():
    from harmonica.cli.train import SAMPLERS
    from harmonica.pipeline.loading import SCHEDULERS

    assert SAMPLERS == tuple(SCHEDULERS)


@pytest.fixture
def things(workplace):
    """Things to be taken for others: a file of text, an empty folder, a picture."""
    (workplace / "text").write_text("hello")
    (workplace / "empty").mkdir()
    Image.new("RGB", (16, 16)).save(workplace / "picture.png")
    for name in ("text.npz", "text.pt", "text.safetensors", "text.json"):
        (workplace / name).write_text("hello")
    (workplace / "schedule.json").write_text('{"schema": 1}')
    (workplace / "schedule.safetensors").write_text("hello")
    (workplace / "searched").mkdir()
    (workplace / "searched" / "schedule.safetensors").write_text("hello")
    return workplace


MISTAKEN = [
    (["router", "info", "empty"], "empty"),
    (["router", "info", "none.safetensors"], "none.safetensors does not exist"),
    (["router", "info", "picture.png"], "ends in '.png'"),
    (["router", "info", "text.json"], "not a whole JSON"),
    (["schedule", "info", "empty"], "a folder with schedule.safetensors or router.safetensors"),
    (["router", "info", "searched"], "holds a schedule, not a router; `schedule info` shows it"),
    (["schedule", "info", "schedule.json"], "is a record; give schedule.safetensors"),
    (["router", "export", "text.pt", "out.json"], "nothing of it was unpickled"),
    (["router", "export", "text.safetensors", "empty/"], "must end in"),
    (["router", "export", "text.safetensors", "text/out.pt"], "is a file, no folder"),
    (["router", "export", "text.safetensors", "out.gif"], "must end in .safetensors"),
    (["router", "info", "text.safetensors", "--plot", "x.gif"], "must end in .png or .pdf"),
    (["router", "info", "text.safetensors", "--plot", ".png"], "must end in .png or .pdf"),
    (["weights", "check", "empty"], "a diffusers folder holds"),
    (["weights", "check", "text"], "nothing of it was unpickled"),
    (["weights", "check", "text.safetensors"], "nothing of it was unpickled"),
    (["weights", "check", "nothing/here"], "does not exist"),
    (["evaluate", "--samples", "text", "--reference", "y.npz"], "no .npz file"),
    (["evaluate", "--samples", "empty", "--reference", "y.npz"], "no image in this folder"),
    (["evaluate", "--samples", "text.npz", "--reference", "empty"], "no .npz file"),
    (["evaluate", "--make-reference", "empty", "--out", "y.npz"], "no image in this folder"),
    (["evaluate", "--make-reference", "empty", "--out", "text.npz"], "it is there already"),
    (["evaluate", "--make-reference", "empty", "--reference", "text.npz"], "--out Y.npz"),
    (["evaluate", "--samples", "text", "--out", "y.npz"], "--reference Y.npz"),
    (["train", "--model", "empty", "--steps", "5", "--cur", "50", "--out", "text"], "is a file"),
    (["train", "--model", "empty", "--steps", "5", "--cur", "50", "--out", "new"], "model: empty"),
    (["train", "--model", "text", "--steps", "5", "--cur", "50", "--out", "new"], "model: text"),
    (["train", "--model", "e", "--steps", "5", "--cur", "90", "--out", "new"], "lies in 0..80"),
    (
        ["train", "--model=e", "--steps=5", "--cur=50", "--out=new", "--captions=empty"],
        "captions: empty cannot be read (Is a directory)",
    ),
    (
        ["train", "--model=e", "--steps=5", "--cur=50", "--out=new", "--device=meta"],
        "device: 'meta'",
    ),
    (
        ["train", "--model=e", "--steps=5", "--cur=50", "--out=new", "--device=nonsense"],
        "device: 'nonsense'",
    ),
    (["prompts", "prepare", "picture.png", "--model", "empty", "--out", "new"], "save it as UTF-8"),
    (["prompts", "prepare", "none", "--model", "empty", "--out", "new"], "No such file"),
    (["prompts", "prepare", "text", "--model", "empty", "--out", "new"], "model: empty"),
    (["prompts", "prepare", "text", "--model", "empty", "--out", "text"], "it is a file"),
    (["latents", "prepare", "text", "--vae", "empty"], "images: "),
    (["samples", "none", "x.npz"], "does not exist"),
    (["samples", "../../text", "x.npz"], "run: "),
    (["samples", "none", "x.zip"], "must end in .npz"),
]


@pytest.mark.parametrize("arguments, words", MISTAKEN, ids=[" ".join(a) for a, _ in MISTAKEN])
def test_a_thing_taken_for_another(refused_here, things, arguments, words, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = {path: path.stat() for path in things.rglob("*") if path.is_file()}
    refused_here(*arguments, words=[words])
    after = {path: path.stat() for path in things.rglob("*") if path.is_file()}
    assert {path: stat.st_mtime_ns for path, stat in before.items()} == {
        path: stat.st_mtime_ns for path, stat in after.items()
    }
