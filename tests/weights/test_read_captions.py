"""Captions: text of any line ends, the mark of UTF-8 stripped, other encodings named."""

import codecs
import tomllib
from pathlib import Path

import pytest

import harmonica
from harmonica.errors import BadInput
from harmonica.pipeline.loading import CAPTIONS
from harmonica.weights.prompts import read_captions

TEXT = ["ein Schäfchen", "a photo of a\u2028cat", "漢字"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n \n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_lines_of_utf8_are_captions(tmp_path, end, mark):
    (tmp_path / "c.txt").write_bytes(mark + end.join(TEXT).encode() + end.encode())
    assert read_captions(tmp_path / "c.txt") == TEXT


@pytest.mark.parametrize(
    "coding, words",
    [
        ("utf-16", "UTF-16; save it as UTF-8"),
        ("utf-32", "UTF-32; save it as UTF-8"),
        ("utf-16-le", "UTF-16 or no text at all; save"),
        ("latin-1", "of another encoding .line 2 has the byte 0xe4.; save"),
    ],
)
def test_other_encodings_are_named(tmp_path, coding, words):
    (tmp_path / "c.txt").write_bytes("a cat\nein Schäfchen\n".encode(coding))
    with pytest.raises(BadInput, match=f"captions: .*c.txt is .*{words}"):
        read_captions(tmp_path / "c.txt")


@pytest.mark.parametrize("content", [b"", b" \n\t\n", codecs.BOM_UTF8])
def test_a_file_without_captions_is_refused(tmp_path, content):
    (tmp_path / "c.txt").write_bytes(content)
    with pytest.raises(BadInput, match="it is empty; write one caption on each line"):
        read_captions(tmp_path / "c.txt")


def test_what_is_no_file_is_refused(tmp_path):
    for path, words in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file")):
        with pytest.raises(BadInput, match=words):
            read_captions(path)


def test_ours_are_64_different_ones_and_go_with_the_package():
    captions = read_captions(CAPTIONS)
    assert len(set(captions)) == 64 and all(caption.isascii() for caption in captions)
    pyproject = Path(harmonica.__file__).parent.parent / "pyproject.toml"
    packaged = tomllib.loads(pyproject.read_text())["tool"]["setuptools"]["package-data"]
    assert CAPTIONS.name in packaged["harmonica.pipeline"]
