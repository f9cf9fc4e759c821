"""Training images in folders and tars: a damaged file or member is named, what is left out is
counted.
"""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from harmonica.errors import BadInput
from harmonica.weights import class_folders
from harmonica.weights.latents import _number_or_name


def picture(seed=0, form="png"):
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(256, size=(20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, form)
    return content.getvalue()


def tar_of(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images" / "n1").mkdir(parents=True)
    return tmp_path / "images"


def read_all(folder):
    return [class_folders.read(source) for source in class_folders.below(folder)[0]]


def test_a_cut_off_image_is_named(folder):
    for name in ("a.JPEG", "b.JPEG"):
        (folder / "n1" / name).write_bytes(picture(form="jpeg"))
    assert [image.size for image in read_all(folder)] == [(30, 20)] * 2
    (folder / "n1" / "b.JPEG").write_bytes(picture(form="jpeg")[:300])
    with pytest.raises(BadInput, match=r"images: .*n1/b.JPEG cannot be read as an image \("):
        read_all(folder)


def test_a_tar_that_is_cut_off_anywhere_is_named(folder):
    """Also between two of its files, where tarfile would only find fewer."""
    path = tar_of(folder / "n1.tar", {f"{i}.png": picture(i) for i in range(3)})
    whole = path.read_bytes()
    read_all(folder)
    with tarfile.open(path) as tar:
        ends = [tar.offset for _ in tar]
    for size in {0, 100, 700, *ends, ends[0] + 512, len(whole) // 2}:
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"images: .*n1.tar .*cannot be read") as error:
            read_all(folder)
        assert "\n" not in str(error.value)


def test_odd_members_are_named(folder):
    path = tar_of(folder / "n1.tar", {"a.png": picture(), "b.png": b"no image"})
    with pytest.raises(BadInput, match=r"n1.tar b.png cannot be read as an image"):
        read_all(folder)
    with tarfile.open(path, "a") as tar:
        entry = tarfile.TarInfo("c.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "none.png"
        tar.addfile(entry)
    with pytest.raises(BadInput, match=r"n1.tar c.png cannot be read"):
        class_folders.read(class_folders.below(folder)[0][2])
    tar_of(path, {"a.png": picture(), "a.cls": b"\xff\xfe"})
    with pytest.raises(BadInput, match=r"n1.tar a.cls cannot be read"):
        class_folders.below(folder)
    with tarfile.open(path, "w") as tar:
        for _ in range(2):
            entry = tarfile.TarInfo("a.png")
            entry.size = len(picture())
            tar.addfile(entry, io.BytesIO(picture()))
    with pytest.raises(BadInput, match="two files of that name"):
        class_folders.below(folder)


def test_what_is_left_out_is_counted(folder):
    (folder / "n1" / "a.webp").write_bytes(picture(form="webp"))
    assert class_folders.below(folder)[1] is None
    (folder / "top.png").write_bytes(picture())
    (folder / "n1" / "notes.txt").write_text("x")
    found, left_out = class_folders.below(folder)
    assert len(found) == 1 and left_out == f"2 files are left out of {folder}: 1 .txt, 1 .png"
    tar_of(folder / "n2.tar", {"a.png": picture(), "a.json": b"{}"})
    found, left_out = class_folders.below(folder)
    assert [source.group for source in found] == ["n2"] and left_out.startswith("4 files are left")


def test_classes_count_in_one_order_whatever_they_are_called():
    groups = ["10", "2", "02", "1", "²", "٣", "n01", "n001"]
    once = sorted(groups, key=_number_or_name)
    assert once == sorted(reversed(groups), key=_number_or_name) and once.index("2") < once.index(
        "10"
    )
