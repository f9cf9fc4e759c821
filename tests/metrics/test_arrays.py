"""Damaged, encrypted, mistyped and oddly ordered arrays: one sentence names file and array."""

import io
import random
import zipfile

import numpy as np
import pytest

from harmonica.errors import BadInput
from harmonica.files import read_array, save_array
from harmonica.metrics.adm import read_reference
from harmonica.metrics.images import open_images

ARRAYS = {
    "arr_0": np.arange(6 * 8 * 8 * 3, dtype=np.uint8).reshape(6, 8, 8, 3),
    "mu": np.arange(5.0),
    "sigma": np.eye(5),
    "mu_s": np.arange(7.0),
    "sigma_s": np.eye(7),
}


def packed(array, **header):
    """The bytes of a .npy file, some of its header's words replaced."""
    content = io.BytesIO()
    np.save(content, array)
    whole = content.getvalue()
    for old, new in header.items():
        assert old.encode() in whole
        whole = whole.replace(old.encode(), new)
    return whole


def reference(path, compression=zipfile.ZIP_STORED, **replaced):
    """A reference with the bytes of some of its members replaced."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in ARRAYS.items():
            archive.writestr(f"{name}.npy", replaced.get(name, packed(array)))
    return path


def refused(path):
    with pytest.raises(BadInput) as error:
        read_reference(path)
        list(open_images(path).batches())
    said = str(error.value)
    assert str(path) in said and "\n" not in said and len(said) < 500
    return said


@pytest.mark.parametrize("compression", [0, 8, 12, 14], ids=["stored", "deflate", "bz2", "lzma"])
def test_a_whole_reference_is_read_however_it_is_packed(tmp_path, compression):
    path = reference(tmp_path / "y.npz", compression)
    found = read_reference(path)
    assert np.array_equal(found.statistics["spatial"][1], ARRAYS["sigma_s"])
    (batch,) = open_images(path).batches()
    assert np.array_equal(batch, ARRAYS["arr_0"].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("compression", [0, 8, 12, 14], ids=["stored", "deflate", "bz2", "lzma"])
def test_changed_bytes_are_refused_by_file_or_hurt_nothing(tmp_path, compression):
    whole, rng = reference(tmp_path / "y.npz", compression).read_bytes(), random.Random(compression)
    for attempt in range(150):
        damaged = bytearray(whole)
        if attempt % 5 == 0:
            del damaged[rng.randrange(len(whole)) :]
        for _ in range(1 + attempt % 3):
            if damaged:
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (tmp_path / "y.npz").write_bytes(damaged)
        try:
            read_reference(tmp_path / "y.npz")
            list(open_images(tmp_path / "y.npz").batches())
        except BadInput as error:
            assert str(tmp_path / "y.npz") in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_flipped_bit_names_its_array(tmp_path, name):
    path = reference(tmp_path / "y.npz")
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(f"{name}.npy").header_offset + 30 + len(name) + 4 + 140
    whole = bytearray(path.read_bytes())
    whole[at] ^= 16
    path.write_bytes(whole)
    assert f"its {name} cannot be read" in refused(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_encrypted_arrays_are_named(tmp_path, name):
    path = reference(tmp_path / "y.npz")
    whole = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = -1
        while (at := whole.find(mark, at + 1)) >= 0:
            if f"{name}.npy".encode() in whole[at : at + 60]:
                whole[at + offset] |= 1
    path.write_bytes(whole)
    assert f"its {name} cannot be read" in refused(path) and "encrypted" in refused(path)


FORMS = {
    "Fortran order": (np.asfortranarray, "'Fortran order' is not possible; save numpy.ascontig"),
    "signed": (lambda a: a.astype(np.int8), "int8"),
    "16 bits": (lambda a: a.astype(np.uint16), "uint16"),
    "grey": (lambda a: a[..., 0], "uint8 (6, 8, 8)"),
    "empty": (lambda a: a[:0], "square"),
    "text": (lambda a: np.array(["a"]), "<U1"),
}


@pytest.mark.parametrize("change, words", FORMS.values(), ids=FORMS)
def test_images_of_another_form_are_named(tmp_path, change, words):
    said = refused(reference(tmp_path / "y.npz", arr_0=packed(change(ARRAYS["arr_0"]))))
    assert "y.npz's arr_0: " in said and words in said


LYING = {
    "more than there is": {"(6, 8, 8, 3)": b"(9, 8, 8, 3)"},
    "far more": {"(6, 8, 8, 3)": b"(6, 9999999, 9999999, 3)"},
    "negative": {"(6, 8, 8, 3)": b"(6, -8, -8, 3)"},
    "no header": {"'shape'": b"'shpae'"},
    "no magic": {"NUMPY": b"MUMPY"},
    "a call": {"(6, 8, 8, 3)": b"print('executed')"},
}


@pytest.mark.parametrize("header", LYING.values(), ids=LYING)
def test_headers_that_lie_are_refused(tmp_path, header, capsys):
    whole = packed(ARRAYS["arr_0"], **header)
    refused(reference(tmp_path / "y.npz", arr_0=whole))
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["mu", "sigma_s"])
def test_statistics_that_lie_are_refused(tmp_path, name):
    array = ARRAYS[name]
    for new in (b"(99999999999999,)", b"(5, 7, 3)", b"()"):
        whole = packed(array, **{str(array.shape): new})
        assert name in refused(reference(tmp_path / "y.npz", **{name: whole}))
    big = packed(array.astype(">f8"))
    assert read_reference(reference(tmp_path / "y.npz", **{name: big}))
    for other in (array.astype(complex), array.astype(int), array.astype(np.float16)):
        assert f"{name}: " in refused(reference(tmp_path / "y.npz", **{name: packed(other)}))


def test_what_is_no_npz_is_said_so(tmp_path):
    np.save(tmp_path / "a.npy", ARRAYS["arr_0"])
    (tmp_path / "a.npy").rename(tmp_path / "y.npz")
    assert "no .npz file" in refused(tmp_path / "y.npz")


def test_arrays_on_disk_are_written_whole_and_read_or_named(tmp_path):
    path, rng = tmp_path / "a.npy", np.random.default_rng(0)
    for array in (
        rng.random((3, 5)),
        np.asfortranarray(rng.random((3, 5))),
        np.arange(9)[::2],
        np.zeros((0, 4)),
        np.array(2.5),
        rng.random((2, 3)).astype(np.float16),
        np.array(["a", "bc"]),
    ):
        save_array(path, array)
        assert np.array_equal(np.load(path, allow_pickle=False), array)
        assert np.array_equal(read_array(path, "x", "again"), array)
    whole = path.read_bytes()
    for content in (b"", whole[:20], whole[:-1], b"PK\3\4", b"\x80\4K\1."):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=f"x: {path} is missing or damaged .*; again"):
            read_array(path, "x", "again")
