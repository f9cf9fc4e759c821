"""`python -m harmonica train`, as a user meets it."""

import shutil

import diffusers
import pytest

import harmonica
from harmonica.__main__ import main

T = 4


def run(*words):
    return main([str(word) for word in words])


@pytest.mark.parametrize(
    "kind, options",
    [
        ("dit", ["--sampler", "ddpm"]),
        ("alpha", ["--sampler", "sa-solver"]),
        ("sigma", ["--guidance", 1]),
    ],
)
def test_its_router_works_on_the_pipeline(tiny_pipe, folder_of, tmp_path, capfd, kind, options):
    captions, out = tmp_path / "captions.txt", tmp_path / "router"
    captions.write_text("a fox\n\na train\n")
    words = ["train", "--model", folder_of(kind), "--steps", T, "--cur", 50, "--out", out]
    words += ["--batch", 2, "--trajectories", 3, "--captions", captions]
    assert run(*words, *options) == 0
    said = capfd.readouterr().out
    assert "min in all" in said and "9 updates" in said
    assert ("1000 classes" if kind == "dit" else "2 captions") in said
    assert ("use_resolution_binning=False" in said) == (kind != "dit")
    call = said.splitlines()[-1]  # what is the scheduler's is no argument of it
    assert "pipe(..., num_inference_steps=" in call
    assert "clip_sample" not in call and "algorithm_type" not in call
    pipe = tiny_pipe(kind)
    if options[:1] == ["--sampler"]:
        (line,) = (line for line in said.splitlines() if "from_config" in line)
        exec(line.removeprefix("use").strip(), {"pipe": pipe, "diffusers": diffusers})
    if kind == "dit":
        what = {"class_labels": [1]}
    else:
        what = {"prompt": "a fox", "clean_caption": False, "use_resolution_binning": False}
        what |= {"height": 8, "width": 8}
    with harmonica.apply_router(pipe, out, cur=50) as applied:
        pipe(num_inference_steps=T, **what)
    assert (~applied.keep).sum() == applied.keep.numel() // 2


def test_a_dry_run_writes_nothing(folder_of, tmp_path, capfd):
    out = tmp_path / "router"
    words = ["train", "--model", folder_of("dit"), "--steps", 4, "--cur", 50, "--out", out]
    assert run(*words, "--dry-run") == 0
    assert "min in all" in capfd.readouterr().out and not out.exists()


def test_with_arguments_of_its_call_it_is_trained_by_that(folder_of, tmp_path, capfd):
    out = tmp_path / "router"
    words = ["train", "--model", folder_of("alpha"), "--steps", 3, "--cur", 50, "--out", out]
    words += ["--trajectories", 2, "--batch", 1, "--guidance", 2]
    words += ["--set", "max_sequence_length=16", "height=8", "width=8"]
    assert run(*words, "--dry-run") == 0
    assert "4 updates" in capfd.readouterr().err and not out.exists()
    assert run(*words) == 0
    said = capfd.readouterr().out
    assert "with cur=50 it reuses exactly that" in said and f"apply_router(pipe, '{out}'" in said
    router = harmonica.Router.from_pretrained(out)
    assert (~router.keep(50)).sum() == router.keep().numel() // 2
    assert router.about["guidance"] == 2 and len(router.about["units"]) == router.num_blocks


def test_a_folder_that_holds_another_pipeline_is_refused(folder_of, refused_here, tmp_path):
    shutil.copytree(folder_of("dit"), tmp_path / "other")
    index = tmp_path / "other" / "model_index.json"
    index.write_text(index.read_text().replace("DiTPipeline", "FluxPipeline"))
    words = ["train", "--model", tmp_path / "other", "--steps", 4, "--cur", 50, "--out", "out"]
    refused_here(*words, words=["is neither the folder of a diffusers pipeline"])
    own = "a FluxPipeline is trained by its own call, on its own scheduler"
    refused_here(*words, "--sampler", "ddim", words=["sampler: 'ddim'", own])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"--model": "nowhere/nothing"}, ["model: nowhere/nothing"]),
        ({"--model": "."}, ["model: . is neither"]),
        ({"--sampler": "euler"}, ["sampler", "euler", "dpm++"]),
        ({"--steps": 1}, ["steps: 1"]),
        ({"--cur": 0}, ["cur: 0"]),
        ({"--cur": 80}, ["cur: 80", "75"]),
        ({"--captions": "none.txt"}, ["captions: none.txt"]),
        ({"--guidance": 0.5}, ["guidance: 0.5"]),
        ({"--device": "cuda:77"}, ["device: 'cuda:77'"]),
        ({"--device": "gpu"}, ["device: 'gpu'"]),
        ({"--batch": 0}, ["batch: 0"]),
        ({"--trajectories": 0}, ["trajectories: 0"]),
    ],
    ids=str,
)
def test_mistakes_are_one_sentence(refused_here, folder_of, changes, words):
    options = {"--model": folder_of("alpha"), "--steps": 4, "--cur": 50, "--out": "out"} | changes
    refused_here("train", *(part for option in options.items() for part in option), words=words)
