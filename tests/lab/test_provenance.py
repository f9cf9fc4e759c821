"""The code hash follows every file that a record depends on, and nothing else."""

import shutil

import pytest

from harmonica.lab import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in provenance.CODE:
        source = provenance.ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return tmp_path


def fresh_sha():
    provenance.code_sha.cache_clear()
    return provenance.code_sha()


def test_code_sha(checkout):
    known = fresh_sha()
    (checkout / "README.md").write_text("text")
    (checkout / "harmonica" / "__pycache__").mkdir(exist_ok=True)
    (checkout / "harmonica" / "__pycache__" / "sdt.pyc").write_bytes(b"1")
    assert fresh_sha() == known
    seen = {known}
    for name in (
        "harmonica/method/sdt.py",
        "experiments/table1.py",
        "requirements.lock",
        "harmonica/digits/weights/judge.safetensors",
    ):
        with (checkout / name).open("ab") as file:
            file.write(b" ")
        seen.add(fresh_sha())
    (checkout / "harmonica" / "method" / "sdt.py").rename(
        checkout / "harmonica" / "method" / "walk.py"
    )
    assert len(seen | {fresh_sha()}) == 6
    provenance.code_sha.cache_clear()


def test_outside_a_checkout_there_is_no_commit(checkout):
    assert provenance._git("rev-parse", "HEAD") is None


def test_what_a_record_says_of_its_origin():
    found = provenance.provenance()
    assert set(found) == {
        "python",
        "versions",
        "device",
        "threads",
        "commit",
        "code_sha",
        "code_clean",
    }
    assert (
        set(found["versions"]) == set(provenance.PACKAGES)
        and "none" not in found["versions"].values()
    )
    assert len(found["code_sha"]) == 64 and isinstance(found["code_clean"], bool)
