"""What `base-models --scale clothes` and the runs say where something is missing."""

import pytest


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


@pytest.mark.parametrize("kinds", [["pixart-digits"], ["dit-clothes", "pixart-digits"]])
def test_text_models_are_trained_on_the_cpu(refused, tmp_path, kinds):
    arguments = ("base-models", "--kinds", *kinds, "--device", "cuda", "--out", tmp_path)
    refused(*arguments, words=("trained on the CPU",))
