"""Images as people have them: whatever Pillow writes is read right, refused by name, or counted as
left out.
"""

import io
import os
import random
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from harmonica.errors import BadInput
from harmonica.metrics.images import images_below, open_images
from harmonica.metrics.pixels import ENDINGS, read_rgb

SIDE = 12


def grey(seed=0, high=256):
    return np.random.default_rng(seed).integers(high, size=(SIDE, SIDE))


def colours(channels=3, seed=0):
    pixels = np.random.default_rng(seed).integers(256, size=(SIDE, SIDE, channels))
    return pixels.astype(np.uint8)


def read(image, ending, **options):
    content = io.BytesIO()
    image.save(content, ending, **options)
    content.seek(0)
    return np.asarray(read_rgb(content, "it"))


def as_rgb(image):
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("form", ["png", "tiff", "ppm"])
def test_greys_of_16_bits_are_scaled(form):
    """White is white, black is black, and no value is clipped."""
    pixels = grey(high=65536).astype(np.uint16)
    pixels[0, :2] = 0, 65535
    found = read(Image.fromarray(pixels), form)
    right = np.round(pixels / 257)
    assert np.abs(found - right[..., None]).max() <= (1 if form == "ppm" else 0)
    assert found[0, 0].tolist() == [0, 0, 0] and found[0, 1].tolist() == [255] * 3


@pytest.mark.parametrize("form", ["png", "tiff", "bmp", "gif", "ppm", "webp"])
def test_every_opaque_mode_is_read_as_pillow_shows_it(form):
    read_of = 0
    for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr", "RGBX"):
        content = io.BytesIO()
        try:
            Image.fromarray(colours()).convert(mode).save(content, form)
        except (OSError, ValueError):
            continue  # Pillow writes no such file
        content.seek(0)
        with Image.open(content) as saved:
            right = as_rgb(saved)
        content.seek(0)
        assert np.array_equal(np.asarray(read_rgb(content, "it")), right), mode
        read_of += 1
    assert read_of >= 3


@pytest.mark.parametrize("form", ["png", "tiff", "webp"])
def test_an_alpha_that_hides_nothing_is_dropped_and_one_that_hides_is_refused(form):
    opaque = np.concatenate([colours(), np.full((SIDE, SIDE, 1), 255, np.uint8)], axis=2)
    assert np.array_equal(read(Image.fromarray(opaque), form, lossless=True), colours())
    hidden = opaque.copy()
    hidden[3, 4, 3] = 254
    with pytest.raises(BadInput, match="it has transparent pixels"):
        read(Image.fromarray(hidden), form, lossless=True)


def test_transparency_by_palette_by_colour_and_in_greys_is_refused():
    image = Image.fromarray(colours()).quantize(8)
    for index, transparent in ((0, True), (bytes([255] * 8), False)):
        if transparent:
            with pytest.raises(BadInput, match="transparent"):
                read(image, "png", transparency=index)
        else:
            assert np.array_equal(read(image, "png", transparency=index), as_rgb(image))
    with pytest.raises(BadInput, match="transparent"):
        read(image, "gif", transparency=0)
    pixels = colours()
    with pytest.raises(BadInput, match="transparent"):
        read(Image.fromarray(pixels), "png", transparency=tuple(pixels[0, 0].tolist()))
    with pytest.raises(BadInput, match="transparent"):
        read(Image.fromarray(grey().astype(np.uint8)), "png", transparency=int(grey()[0, 0]))


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
def test_an_image_is_turned_as_exif_says(form):
    """As ImageOps does; what is no orientation turns nothing."""
    image = Image.fromarray(np.kron(colours(), np.ones((8, 8, 1), np.uint8)))
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x112] = orientation
        content = io.BytesIO()
        image.save(content, form, exif=exif)
        content.seek(0)
        with Image.open(content) as saved:
            right = as_rgb(ImageOps.exif_transpose(saved))
        content.seek(0)
        assert np.array_equal(np.asarray(read_rgb(content, "it")), right), orientation


def test_ranges_that_are_not_known_are_refused():
    for pixels in (grey().astype(np.int32), grey().astype(np.float32)):
        with pytest.raises(BadInput, match="mode [IF], whose range is not known"):
            read(Image.fromarray(pixels), "tiff")
    content = io.BytesIO()
    Image.fromarray(grey(high=65536).astype(np.uint16)).save(content, "tiff")
    entry = struct.pack("<HHI", 262, 3, 1)  # photometric interpretation: 0 is white
    inverted = content.getvalue().replace(entry + b"\1", entry + b"\0")
    with pytest.raises(BadInput, match="another range than 0"):
        read_rgb(io.BytesIO(inverted), "it")


def test_several_images_in_one_file_are_refused():
    frames = [Image.fromarray(colours(seed=seed)) for seed in range(3)]
    for form in ("gif", "png", "webp", "tiff"):
        with pytest.raises(BadInput, match="it holds 3 images"):
            read(frames[0], form, save_all=True, append_images=frames[1:])


def test_a_file_is_what_its_bytes_are_but_never_a_program(tmp_path):
    """Pillow's reader of EPS starts one."""
    Image.fromarray(colours()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(np.asarray(read_rgb(tmp_path / "a.jpg", "it")), colours())
    Image.fromarray(colours()).save(tmp_path / "b.eps")
    (tmp_path / "b.eps").rename(tmp_path / "b.png")
    with pytest.raises(BadInput, match="it cannot be read as an image"):
        read_rgb(tmp_path / "b.png", "it")


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "bmp", "gif", "tiff", "ppm", "jpeg2000"])
def test_what_is_damaged_is_read_or_refused_by_name(form):
    """Cut off anywhere, changed anywhere: never another exception."""
    content, rng = io.BytesIO(), random.Random(0)
    Image.fromarray(np.kron(colours(), np.ones((3, 3, 1), np.uint8))).save(content, form)
    whole = content.getvalue()
    for attempt in range(120):
        damaged = bytearray(whole)
        if attempt % 3 == 0:
            del damaged[rng.randrange(len(whole)) :]
        for _ in range(attempt % 3):
            damaged[rng.randrange(len(whole))] = rng.randrange(256)
        try:
            read_rgb(io.BytesIO(damaged), "the image")
        except BadInput as error:
            assert str(error).startswith("the image ") and "\n" not in str(error)


def test_all_images_of_a_folder_are_read_and_the_rest_is_counted(tmp_path):
    """Links are followed, also to folders; a link to where it lies ends."""
    folder, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    for path in (folder / "a", elsewhere):
        path.mkdir(parents=True)
    names = ["1.png", "2.PNG", "3.webp", "4.bmp", "5.tif", "a/6.gif", "a/7.ppm"]
    for seed, name in enumerate(names):
        Image.fromarray(np.full((SIDE, SIDE, 3), seed, np.uint8)).save(folder / name)
    Image.fromarray(np.full((SIDE, SIDE, 3), 7, np.uint8)).save(elsewhere / "0.png")
    (folder / "b").symlink_to(elsewhere)
    (folder / "a" / "round").symlink_to(folder)
    (folder / "c.png").symlink_to(elsewhere / "0.png")
    for name in ("notes.txt", "b.txt", "x.heic", ".DS_Store"):
        (folder / name).write_text("x")
    os.mkfifo(folder / "d.png")
    images = open_images(folder)
    batch = np.concatenate(list(images.batches()))
    assert images.num_images == 9
    assert batch[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7]
    assert images.left_out == f"4 files are left out of {folder}: 2 .txt, 1 .DS_Store, 1 .heic"
    assert all(ending == ending.lower() for ending in ENDINGS)


def test_a_broken_link_is_named(tmp_path):
    Image.fromarray(colours()).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "none.png")
    assert len(images_below(tmp_path)[0]) == 2
    with pytest.raises(BadInput, match="b.png cannot be read as an image .*No such file"):
        list(open_images(tmp_path).batches())
