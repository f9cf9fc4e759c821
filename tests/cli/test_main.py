"""The command line: a mistake gets one sentence and exit 2, and costs nothing that was there."""

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


def test_bad_options_of_router_commands(refused_here, router, workplace):
    before = router.read_bytes()
    refused_here("router", "info", router, "--tau", "1.5", words=["tau: 1.5"])
    refused_here("router", "info", router, "--tau", "0", words=["tau: 0"])
    (workplace / "kinds.json").write_text(json.dumps({"attn": [1, 0], "mlp": [1, 1]}))
    refused_here("router", "info", "kinds.json", words=["--blocks"])
    refused_here("router", "info", "kinds.json", "--blocks", "-2", words=["--blocks", "-2"])
    refused_here("router", "export", router, "out.txt", words=["out: 'out.txt'", ".safetensors"])
    assert router.read_bytes() == before


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
