"""Sets of uint8 images on disk, read and written as a stream: the .npz of ADM's evaluator, or a
folder of image files.

An .npz of ADM's holds arr_0, uint8 (N, H, W, 3), and a reference further arrays; batches in memory
are (n, 3, H, W). No more than one batch is in memory at a time.
"""

import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from harmonica.errors import BadInput, check
from harmonica.files import atomic

IMAGES_AT_ONCE = 64
ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class ImageSet:
    """`num_images` square RGB images of `resolution` pixels: an .npz file, or a folder's files in
    order of their names.
    """

    path: Path
    num_images: int
    resolution: int

    def batches(self):
        """Yield uint8 arrays (n, 3, H, W) of up to 64 images, in order. BadInput where the file or
        an image is damaged.
        """
        return _of_folder(self) if self.path.is_dir() else _of_npz(self.path)


def open_images(path, field="samples"):
    """-> ImageSet of an .npz file or a folder, its form checked without reading the images.
    BadInput names `field`.
    """
    path = Path(path)
    check(
        path.exists(),
        field,
        str(path),
        "it does not exist; give an .npz as ADM's evaluator reads, or a folder of images",
    )
    if path.is_dir():
        files = _files(path)
        check(
            files,
            field,
            str(path),
            f"there is no image in this folder; put {', '.join(ENDINGS)} files into it",
        )
        return ImageSet(path, len(files), _image(files[0]).shape[1])
    with _arr_0(path) as (_, shape):
        return ImageSet(path, shape[0], shape[1])


def write_npz(path, batches, num_images, **arrays):
    """Write the .npz that ADM's evaluator reads: arr_0 of `num_images` images, and `arrays`.

    batches: uint8 arrays (n, 3, H, H). The same images give the same bytes, however they are
    batched. The file is whole or absent. BadInput where the batches hold more or fewer images, or
    other ones.
    """
    resolution = None
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open(zipfile.ZipInfo("arr_0.npy"), "w", force_zip64=True) as file:
            for batch in counted(batches, num_images):
                if resolution is None:
                    resolution = batch.shape[-1]
                    np.lib.format.write_array_header_1_0(
                        file,
                        {
                            "descr": "|u1",
                            "fortran_order": False,
                            "shape": (num_images, resolution, resolution, 3),
                        },
                    )
                file.write(np.ascontiguousarray(batch.transpose(0, 2, 3, 1)).data)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def counted(batches, num_images, resolution=None):
    """Pass on `batches`, checked: uint8 (n, 3, H, H), H = `resolution` (else the first batch's),
    `num_images` in all.
    """
    check(num_images >= 1, "num_images", num_images, "it must be at least 1")
    count = 0
    for batch in batches:
        resolution = resolution or batch.shape[-1]
        check(
            batch.dtype == np.uint8
            and batch.ndim == 4
            and batch.shape[1:] == (3, resolution, resolution),
            "images",
            f"{batch.dtype} {batch.shape}",
            f"uint8 (n, 3, {resolution}, {resolution}) is expected here",
        )
        count += len(batch)
        check(count <= num_images, "num_images", num_images, f"there are at least {count} images")
        yield batch
    check(count == num_images, "num_images", num_images, f"there are {count} images")


@contextmanager
def _arr_0(path):
    """Open arr_0 of an .npz -> (file at its first pixel, its shape). Nothing is unpickled."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as file:
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            shape, fortran, dtype = read[np.lib.format.read_magic(file)](file)
            square = len(shape) == 4 and shape[0] >= 1 and shape[1:] == (shape[1], shape[1], 3)
            check(
                dtype == np.uint8 and not fortran and square,
                f"{path}'s arr_0",
                f"{dtype} {shape}",
                "uint8 (N, H, H, 3) is needed: square RGB images, channels last",
            )
            yield file, shape
    except BadInput:
        raise
    except KeyError:
        raise BadInput(
            f"{path} has no readable arr_0; there an .npz for ADM's evaluator holds uint8 (N, H, H, 3)"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise BadInput(f"{path} is no whole .npz file ({error}); write or copy it anew") from None


def _of_npz(path):
    with _arr_0(path) as (file, (count, resolution, *_)):
        for start in range(0, count, IMAGES_AT_ONCE):
            shape = (min(IMAGES_AT_ONCE, count - start), resolution, resolution, 3)
            content = file.read(int(np.prod(shape)))
            if len(content) != np.prod(shape):
                raise EOFError(
                    f"arr_0 ends within image {start + len(content) // (resolution * resolution * 3)} of {count}"
                )
            yield np.frombuffer(content, np.uint8).reshape(shape).transpose(0, 3, 1, 2)


def _of_folder(images):
    files = _files(images.path)
    for start in range(0, len(files), IMAGES_AT_ONCE):
        batch = [_image(file) for file in files[start : start + IMAGES_AT_ONCE]]
        for file, image in zip(files[start:], batch):
            check(
                image.shape[1] == images.resolution,
                str(file),
                f"{image.shape[1]} pixels",
                f"the first image of its folder has {images.resolution}; give images of one size",
            )
        yield np.stack(batch)


def _files(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


def _image(path):
    """-> uint8 (3, H, H)."""
    try:
        with Image.open(path) as file:
            image = np.asarray(file.convert("RGB")).transpose(2, 0, 1)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ):  # Pillow's of damaged files
        raise BadInput(
            f"{path} is damaged or no image; replace it or take it out of its folder"
        ) from None
    check(
        image.shape[1] == image.shape[2],
        str(path),
        f"{image.shape[2]} x {image.shape[1]} pixels",
        "crop it to a square",
    )
    return image
