"""`python -m harmonica evaluate` as a user meets it: any samples, references of our own making,
what is left out and why.
"""

import json

import pytest
from PIL import Image

from harmonica import weights
from harmonica.__main__ import main
from harmonica.metrics.images import write_npz
from harmonica.weights import catalogue, extractors


@pytest.fixture
def here(workplace, monkeypatch, images, few_features):
    """The workplace, with samples of 30 images as x.npz and as a folder, images of a reference, and
    a quick extractor.
    """
    monkeypatch.chdir(workplace)
    monkeypatch.delenv("HARMONICA_WEIGHTS", raising=False)
    write_npz("x.npz", [images(30, seed=1)], 30)
    write_npz("real.npz", [images(40)], 40)
    (workplace / "x").mkdir()
    for i, image in enumerate(images(30, seed=1)):
        Image.fromarray(image.transpose(1, 2, 0)).save(f"x/{i:05d}.png")
    monkeypatch.setattr(extractors, "inception", lambda path, sha256: few_features)
    return workplace


def test_samples_in_a_file_and_in_a_folder_give_the_same_numbers(here, capfd):
    assert main(["evaluate", "--make-reference", "real.npz", "--out", "y.npz"]) == 0
    assert "reference_images    40" in capfd.readouterr().out
    found = []
    for samples in ("x.npz", "x"):
        assert main(["evaluate", "--samples", samples, "--reference", "y.npz", "--json"]) == 0
        said = capfd.readouterr()
        found.append(json.loads(said.out))
        assert [line.removeprefix("note: ") for line in said.err.splitlines()] == found[-1]["notes"]
    assert found[0] == found[1] and found[0]["num_images"] == 30 and found[0]["FID"] > 0.1
    left_out, count = found[0]["notes"]
    assert (
        "clean_FID is left out: inception-2015-12-05.pt" in left_out
        and "not in weights" in left_out
    )
    assert "50000, these of 30" in count


def test_without_json_there_is_a_line_for_each_figure(here, capfd):
    main(["evaluate", "--make-reference", "real.npz", "--out", "y.npz"])
    capfd.readouterr()
    assert main(["evaluate", "--samples", "x.npz", "--reference", "y.npz"]) == 0
    names = [line.split()[0] for line in capfd.readouterr().out.splitlines()]
    assert names[:6] == ["IS", "FID", "sFID", "precision", "recall", "num_images"]


def test_wrong_resolution_and_wrong_kinds_of_file(here, refused_here, images):
    write_npz("large.npz", [images(30, side=32)], 30)
    refused_here(
        "evaluate",
        "--samples",
        "large.npz",
        "--reference",
        "x.npz",
        words=["samples: 'images of 32 pixels'", "x.npz", "of 16"],
    )
    refused_here(
        "evaluate",
        "--samples",
        "x.npz",
        "--reference",
        "real.npz",
        words=["reference", "it has no mu"],
    )
    refused_here(
        "evaluate",
        "--samples",
        "none.npz",
        "--reference",
        "real.npz",
        words=["samples: 'none.npz'", "does not exist"],
    )
    refused_here(
        "evaluate",
        "--samples",
        "x.npz",
        "--reference",
        "x",
        words=["reference: 'x'", "--make-reference"],
    )
    refused_here("evaluate", "--reference", "real.npz", words=["--samples", "--make-reference"])
    refused_here("evaluate", "--samples", "x.npz", words=["--reference"])


def test_missing_and_other_weights(here, refused_here, monkeypatch, random_weights, few_features):
    monkeypatch.undo()
    monkeypatch.chdir(here)
    evaluate = ("evaluate", "--samples", "x.npz", "--reference", "real.npz")
    refused_here(*evaluate, words=[f"weights/{catalogue.INCEPTION} does not exist", "v0.2.0"])
    monkeypatch.setenv("HARMONICA_WEIGHTS", "elsewhere")
    refused_here(*evaluate, words=[f"elsewhere/{catalogue.INCEPTION} does not exist"])
    refused_here(*evaluate, "--inception", random_weights, words=["sha256", "6726825d"])
    refused_here(
        *evaluate,
        "--inception",
        random_weights,
        "--inception-sha256",
        weights.sha256(random_weights)[:8],
        words=["real.npz", "it has no mu"],
    )  # the weights are taken
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "inception-2015-12-05.pt").write_text("not it")
    monkeypatch.setattr(extractors, "inception", lambda path, sha256: few_features)
    refused_here(*evaluate, words=["inception-2015-12-05.pt", "sha256", "not f58cb9b6"])
