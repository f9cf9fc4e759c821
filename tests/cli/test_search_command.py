"""`python -m harmonica search` and `schedule`, as a user meets them."""

import json

import pytest
import torch

import harmonica
from harmonica.__main__ import main
from harmonica.weights import formats

FEW = ("--images", 2, "--batch", 2, "--cur", 40, "--guidance", 2)


@pytest.fixture
def model(folder_of):
    return folder_of("alpha")


def run(*words):
    return main([str(word) for word in words])


def test_one_folder_for_several_numbers_of_steps(model, tiny_pipe, tmp_path, capfd):
    out, captions = tmp_path / "found", tmp_path / "captions.txt"
    captions.write_text("a fox\na train\n")
    words = ("search", "--model", model, "--steps", 4, 3, "--out", out, "--captions", captions)
    assert run(*words, *FEW, "--set", "max_sequence_length=16") == 0
    said = capfd.readouterr()
    assert "memory" in said.err and "time" in said.err
    assert said.err.count("wrote") == said.err.count("on held-back noise: this schedule, ") == 2
    assert f"harmonica.apply(pipe, '{out}')" in said.out and "guidance_scale=2" in said.out
    assert "num_inference_steps=3 or 4" in said.out
    assert run("search", "--model", model, "--steps", 4, "--out", out, *FEW) == 2  # would hide both
    assert "it holds folders with schedules (3, 4); choose another" in capfd.readouterr().err
    assert run("schedule", "info", out, "--json") == 0
    assert {steps: row["T"] for steps, row in json.loads(capfd.readouterr().out).items()} == {
        "3": 3,
        "4": 4,
    }
    pipe = tiny_pipe("alpha")
    with harmonica.apply(pipe, out) as applied:
        assert applied.schedules.by_steps.keys() == {3, 4}
        for steps in (3, 4):
            pipe(
                "a fox",
                num_inference_steps=steps,
                use_resolution_binning=False,
                clean_caption=False,
                max_sequence_length=16,
                output_type="latent",
            )
    assert applied.schedules.by_steps[3].about["model"] == model.name  # no path of this machine


def test_one_folder_for_each_share(model, tmp_path, capfd):
    out = tmp_path / "found"
    words = ("search", "--model", model, "--steps", 3, "--out", out, *FEW, "--cur", 50, 40)
    assert run(*words) == 0
    said = capfd.readouterr()
    assert said.err.count("on held-back noise") == 2 and said.err.count("wrote") == 1
    assert f"harmonica.apply(pipe, '{out}/cur40')" in said.out and f"(or {out}/cur50)" in said.out
    assert run("schedule", "info", out / "cur50") == 0
    assert run("schedule", "info", out) == 2
    assert f"choose {out}/cur40 or {out}/cur50" in capfd.readouterr().err
    assert run(*words[:4], 3, 4, *words[5:]) == 2  # would hide both
    assert "choose another folder" in capfd.readouterr().err
    nested = (*words[:4], 3, 4, "--out", tmp_path / "both", *words[7:])
    assert run(*nested) == 0
    said = capfd.readouterr()
    assert f"harmonica.apply(pipe, '{tmp_path}/both/3/cur40')" in said.out
    assert "num_inference_steps=3," in said.out
    assert run("schedule", "info", tmp_path / "both") == 2
    assert "both/3/cur40 or" in capfd.readouterr().err
    one = (*words[:5], "--out", tmp_path / "both", *FEW, "--no-refit")
    assert run(*one) == 2 and run(*one, "--cur", 40, 50) == 2  # would hide them
    assert "choose another folder" in capfd.readouterr().err
    assert run(*words[:5], "--out", tmp_path / "plain/", *FEW, "--no-refit") == 0
    said = capfd.readouterr()
    assert "refit" not in said.err and f"apply(pipe, '{tmp_path}/plain')" in said.out


def test_a_dry_run_writes_nothing_and_one_number_of_steps_lies_in_the_folder(
    model, tmp_path, capfd
):
    out = tmp_path / "found"
    words = ("search", "--model", model, "--steps", 3, "--out", out, *FEW)
    assert run(*words, "--dry-run") == 0
    assert "time       at most" in capfd.readouterr().err and not out.exists()
    assert run(*words, "--no-predict") == 0
    assert (out / "schedule.safetensors").exists()
    capfd.readouterr()
    assert run("schedule", "info", out, "--json") == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["T"] == 3 and shown["predicted"] == 0 and shown["skipped"] == round(0.4 * 18)
    assert run("schedule", "plot", out, tmp_path / "map.png") == 0
    assert (tmp_path / "map.png").stat().st_size > 1000
    for ending in (".pt", ".json", ".safetensors"):
        assert run("schedule", "export", out, tmp_path / f"mask{ending}") == 0
    read = formats.read(tmp_path / "mask.pt", kinds=("attn", "cross", "mlp"))
    keep = harmonica.Schedule.from_pretrained(out).keep
    assert (read.schedule().keep == keep).all()
    assert run("search", "--model", model, "--steps", 3, 4, "--out", out, *FEW) == 2
    assert "it holds a schedule already; choose another folder" in capfd.readouterr().err
    assert run(*words, "--no-predict") == 0  # has ended: it is read again
    said = capfd.readouterr().err
    assert "on held-back noise: this schedule, 38.9 % skipped" in said and "at most" not in said
    assert f"finished   before, in {out}" in said and "wrote" not in said
    assert run(*words, "--no-predict", "--seed", 1) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("error: out:") and "a schedule with another seed;" in last


@pytest.mark.parametrize(
    "words, said",
    [
        (["--model", "nowhere"], ["model: 'nowhere' is not possible", "a hub id is owner/name"]),
        (["--set", "height"], ["set: 'height' is not possible", "NAME=VALUE"]),
        (["--set", "colour=1"], ["argument: 'colour' is not possible", "takes negative_prompt"]),
        (["--set", "num_inference_steps=3"], ["what --steps says"]),
        (["--set", "prompt=x"], ["'prompt' is not possible; prompts= gives", "--captions FILE"]),
        (["--cur", "0.5"], ["cur: 0.5 is not possible; it is a percentage"]),
        (["--captions", "missing.txt"], ["captions: missing.txt cannot be read"]),
        (["--device", "nothing"], ["device: 'nothing' is not possible"]),
        (["--cur", "90"], ["cur: 90", "is not possible; with T = 3 it lies in"]),
    ],
    ids=lambda words: words[0],
)
def test_mistakes_are_one_sentence(model, tmp_path, refused_here, words, said):
    usual = {"--model": model, "--steps": 3, "--out": tmp_path / "out", "--images": 2}
    usual |= {words[0]: words[1]}
    given = [word for option in usual.items() for word in option]
    refused_here("search", *given, "--batch", 1, words=said)


@pytest.mark.parametrize("option", ["height=-8", "latents=7"])
def test_what_the_pipelines_call_refuses_is_one_sentence(option, model, tmp_path, capfd):
    words = ("search", "--model", model, "--steps", 3, "--out", tmp_path / "out", *FEW)
    assert run(*words, "--set", option, "width=8") == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("error: pipe: its call fails: ")


def test_an_argument_is_set_once(model, tmp_path, refused_here):
    words = ("search", "--model", model, "--steps", 3, "--out", tmp_path / "out")
    refused_here(*words, "--set", "height=8", "height=16", words=["height is given twice"])


def test_a_folder_is_needed_but_for_the_cost(model, tmp_path, monkeypatch, capfd, refused_here):
    words = ("search", "--model", model, "--steps", 3, *FEW)
    refused_here(*words, words=["give --out DIR, or --dry-run for the cost alone"])
    refused_here(*words, "--dry", words=["unrecognized arguments: --dry; see", "search --help"])
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert run(*words, "--dry-run") == 0
    assert "time       at most" in capfd.readouterr().err and not list(empty.iterdir())


def test_a_file_is_not_exported_onto_itself(model, tmp_path, refused_here):
    out = tmp_path / "found"
    assert run("search", "--model", model, "--steps", 3, "--out", out, *FEW) == 0
    file = out / "schedule.safetensors"
    content = file.read_bytes()
    for source in (out, file):
        words = ["writing it would lose what it holds; choose another name"]
        refused_here("schedule", "export", source, file, words=words)
    assert file.read_bytes() == content


def test_units_of_other_transformers_are_not_named_as_blocks_of_a_dit(tmp_path, refused_here):
    units = ["blocks.0.attn", "blocks.0.ff", "blocks.1.attn", "blocks.1.ff"]
    path = tmp_path / "schedule.safetensors"
    harmonica.Schedule(keep=torch.ones(3, 4, dtype=torch.bool), about={"units": units}).save(path)
    words = ["units blocks.0.attn, blocks.0.ff, blocks.1.attn, ...", "whole blocks of attn, mlp"]
    refused_here("schedule", "export", path, tmp_path / "mask.json", words=words)
    assert run("schedule", "export", path, tmp_path / "mask.pt") == 0


def test_predictions_are_not_dropped_without_a_word(model, tmp_path, refused_here):
    out = tmp_path / "found"
    assert run("search", "--model", model, "--steps", 3, "--out", out, *FEW) == 0
    words = ["only .safetensors holds predictions"]
    refused_here("schedule", "export", out, tmp_path / "mask.pt", words=words)
