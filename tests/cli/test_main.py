"""The command line: a mistake is met by one sentence and exit 2, and costs nothing that was there."""

import json
import os
from pathlib import Path

import pytest

WHOLE = {
    "attn-0": [1, 0, 1, 0],
    "mlp-0": [1, 1, 0, 0],
    "attn-1": [1, 0, 0, 0],
    "mlp-1": [1, 1, 1, 0],
}


@pytest.fixture
def router(workplace):
    """A router file, imported from a SmoothCache schedule."""
    from harmonica.weights.formats import read, write

    (workplace / "schedule.json").write_text(json.dumps(WHOLE))
    write(workplace / "router.safetensors", read(workplace / "schedule.json"))
    return workplace / "router.safetensors"


def test_router_info_and_conversion(cli, router, workplace, monkeypatch):
    info = json.loads(cli("router", "info", "schedule.json", "--json").stdout)
    assert info == {
        "T": 4,
        "N": 4,
        "computed": 8,
        "reused": 8,
        "CUR_percent": 50.0,
        "tau": 0.1,
        "distinct_rows": 4,
        "format": "smoothcache",
    }
    from harmonica.__main__ import main

    monkeypatch.chdir(workplace)
    for source, target in (
        ("schedule.json", "a.safetensors"),
        ("a.safetensors", "b.pt"),
        ("b.pt", "c.json"),
        ("c.json", "d.safetensors"),
    ):
        assert (
            main(
                [
                    "router",
                    "export" if target.endswith((".pt", ".json")) else "import",
                    source,
                    target,
                ]
            )
            == 0
        )
    assert json.loads((workplace / "c.json").read_text()) == WHOLE
    assert (workplace / "d.safetensors").read_bytes() == (workplace / "a.safetensors").read_bytes()
    assert main(["router", "info", "b.pt", "--plot", "map.png"]) == 0
    assert (workplace / "map.png").read_bytes()[1:4] == b"PNG"


def torch_file(content):
    def write(path):
        import torch

        torch.save(content(torch), path.with_suffix(".pt"))
        return path.with_suffix(".pt")

    return write


def text_file(suffix, text):
    def write(path):
        path.with_suffix(suffix).write_text(text)
        return path.with_suffix(suffix)

    return write


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-7])
    return path


def not_finite(path):
    import torch
    from safetensors.torch import save_file

    save_file(
        {"logits": torch.tensor([[5.0, 5.0], [float("nan"), 0.0]])},
        path,
        {"about": '{"tau": 0.1, "timesteps": null}'},
    )
    return path


BAD_FILES = {
    "missing": (lambda path: path.with_name("none.safetensors"), "does not exist"),
    "truncated": (cut_off, "not a whole router file"),
    "NaN": (not_finite, "NaN"),
    "empty": (text_file(".safetensors", ""), "not a whole router file"),
    "ragged .json": (text_file(".json", json.dumps({**WHOLE, "mlp-1": [1, 1]})), "ragged"),
    "truncated .json": (text_file(".json", json.dumps(WHOLE)[:-9]), "not a whole JSON file"),
    "rows missing .json": (
        text_file(".json", json.dumps({**WHOLE, "mlp-3": WHOLE["mlp-1"]})),
        "no list",
    ),
    "NaN .json": (
        text_file(".json", json.dumps({**WHOLE, "mlp-1": [1, float("nan"), 1, 1]})),
        "lists of 0 and 1",
    ),
    "ragged .pt": (
        torch_file(lambda t: {"routers": {"0.prob": t.ones(2), "1.prob": t.ones(3)}}),
        "of equal length",
    ),
    "NaN .pt": (
        torch_file(lambda t: {"routers": {"0.prob": t.ones(2), "1.prob": t.full((2,), t.nan)}}),
        "NaN",
    ),
    "rows missing .pt": (
        torch_file(lambda t: {"routers": {"0.prob": t.ones(2), "2.prob": t.ones(2)}}),
        "'1.prob'",
    ),
    "truncated .pt": (
        lambda path: cut_off(torch_file(lambda t: {"routers": {"0.prob": t.ones(2)}})(path)),
        "nothing of it was unpickled",
    ),
    "no checkpoint .pt": (text_file(".pt", "hello"), "nothing of it was unpickled"),
    "another ending": (text_file(".npz", ""), ".safetensors, .pt or .json"),
}


@pytest.mark.parametrize("command", ["info", "export"])
@pytest.mark.parametrize("damage, words", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_router_files(refused_here, router, workplace, damage, words, command):
    path = damage(router)
    refused_here(
        "router",
        command,
        path,
        *(["out.json"] if command == "export" else []),
        words=[str(path), words],
    )
    assert not (workplace / "out.json").exists()


def test_bad_options_of_router_commands(refused_here, router, workplace):
    before = router.read_bytes()
    refused_here("router", "info", router, "--tau", "1.5", words=["tau: 1.5"])
    refused_here("router", "info", router, "--tau", "0", words=["tau: 0"])
    (workplace / "kinds.json").write_text(json.dumps({"attn": [1, 0], "mlp": [1, 1]}))
    refused_here("router", "info", "kinds.json", words=["--blocks"])
    refused_here("router", "info", "kinds.json", "--blocks", "-2", words=["--blocks", "-2"])
    refused_here("router", "export", router, "out.txt", words=["out: 'out.txt'", ".safetensors"])
    assert router.read_bytes() == before


def test_a_pickle_with_code_in_it_is_not_run(refused, workplace):
    """As a process of its own: what torch warns of does not reach the user either."""
    import torch

    class Code:
        def __reduce__(self):
            return os.system, (f"touch {workplace}/executed",)

    torch.save({"routers": {"0.prob": torch.ones(2)}, "args": Code()}, workplace / "r.pt")
    refused("router", "info", "r.pt", words=["router: r.pt", "nothing of it was unpickled"])
    assert not (workplace / "executed").exists()


WRONG_WORDS = [
    ([], "COMMAND"),
    (["trian"], "trian"),
    (["router", "show", "x"], "show"),
]


@pytest.mark.parametrize(
    "arguments, words", WRONG_WORDS, ids=[" ".join(a) or "nothing" for a, _ in WRONG_WORDS]
)
def test_bad_arguments(refused, workplace, arguments, words):
    refused(*arguments, words=[words])
    assert not (workplace / "results").exists()


@pytest.mark.parametrize("error", ["ENOSPC", "EROFS", "EACCES", "EDQUOT"])
@pytest.mark.parametrize("out", ["out.safetensors", "out.pt", "out.json"])
def test_an_out_that_cannot_be_written(refused_here, router, workplace, monkeypatch, error, out):
    """Without the right to mount: the system's refusal, raised where bytes are written."""
    import errno

    def refuse(*_, **__):
        raise OSError(getattr(errno, error), os.strerror(getattr(errno, error)))

    (workplace / out).write_text("was there")
    for name in ("write_bytes", "write_text"):
        monkeypatch.setattr(Path, name, refuse)
    refused_here("router", "import", router, out, words=[os.strerror(getattr(errno, error))])
    assert (workplace / out).read_text() == "was there"
    assert sorted(p.name for p in workplace.iterdir()) == sorted(
        ["experiments", out, router.name, "schedule.json"]
    )


def test_help_names_the_commands(cli):
    done = cli("--help")
    assert (
        done.returncode == 0
        and "router" in done.stdout
        and "train" in done.stdout
        and not done.stderr
    )
