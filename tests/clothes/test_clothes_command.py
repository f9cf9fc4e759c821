"""What `base-models --scale clothes` and the runs say where something is missing."""

import json
from concurrent.futures import Future
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from harmonica import files
from harmonica.cli import base_models
from harmonica.lab import workers


def test_without_the_data_the_package_and_the_variable_are_named(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_CLOTHES", str(tmp_path))
    words = ("HARMONICA_CLOTHES", "dataset-fashion-mnist")
    refused("base-models", "--scale", "clothes", "--out", tmp_path / "out", words=words)


def test_without_base_models_the_command_that_trains_them_is_named(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_MODELS", str(tmp_path))
    (tmp_path / "models.json").write_text("{}")
    arguments = ("run", "dit_xl2_256", "--scale", "clothes", "--dry-run")
    words = ("make base-models SCALE=clothes",)
    refused(*arguments, words=words, module="experiments")


@pytest.mark.parametrize("kinds", [["pixart-digits"], ["dit-digits", "pixart-digits"]])
def test_text_models_are_trained_on_the_cpu(refused, tmp_path, kinds):
    arguments = ("base-models", "--kinds", *kinds, "--device", "cuda", "--out", tmp_path)
    refused(*arguments, words=("trained on the CPU",))


def test_a_kind_of_another_scale_is_refused(refused, tmp_path):
    arguments = ("base-models", "--scale", "clothes", "--kinds", "dit-digits", "--out", tmp_path)
    refused(*arguments, words=("kinds", "dit-digits", "dit-clothes"))


def test_more_replicates_than_base_models_name_the_command_of_the_scale(refused):
    arguments = ("run", "dit_xl2_256", "--scale", "clothes", "--seeds", "9", "--dry-run")
    words = ("seeds: 9", "make base-models SCALE=clothes", "HARMONICA_MODELS")
    refused(*arguments, words=words, module="experiments")


def test_a_training_state_is_kept_until_models_json_names_its_model(monkeypatch, tmp_path):
    state, done = tmp_path / "dit-digits-s0.state.safetensors", Future()
    state.write_bytes(b"")
    done.set_result(("dit-digits-s0", {"training": {"steps": 1}, "quality": None}))
    monkeypatch.setattr(workers, "workers", lambda jobs: nullcontext())
    monkeypatch.setattr(workers, "submit", lambda *arguments: done)
    arguments = SimpleNamespace(
        scale="digits",
        kinds=["dit-digits"],
        seeds=[0],
        steps=1,
        out=tmp_path,
        jobs=1,
        device="cpu",
    )
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(files, "write_json", Mock(side_effect=KeyboardInterrupt))
        base_models._train_all(arguments)
    assert state.exists()
    base_models._train_all(arguments)
    assert not state.exists() and "dit-digits-s0" in files.read_json(tmp_path / "models.json")
    state.write_bytes(b"")  # as a process leaves it that is killed between the two
    base_models._train_all(arguments)
    assert not state.exists()


def test_a_model_of_a_kind_that_nobody_trains_here_is_left_alone(refused, tmp_path):
    """What is refused is the steps of the one that is trained here."""
    about = {"training": {"steps": 5}}
    (tmp_path / "models.json").write_text(json.dumps({"my-model": about, "dit-clothes-s0": about}))
    arguments = ("base-models", "--scale", "clothes", "--out", tmp_path)
    refused(*arguments, words=("steps", "7500", "dit-clothes-s0 trained with 5"))
