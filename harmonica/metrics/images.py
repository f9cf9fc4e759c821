"""Sets of uint8 images on disk, read and written batch by batch: the .npz of ADM's evaluator, or a
folder of image files.

ADM's .npz holds arr_0, uint8 (N, H, W, 3), and for a reference further arrays. Batches in memory
are (n, 3, H, W), at most one at a time.
"""

import os
import zipfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harmonica.errors import BadInput, check
from harmonica.files import atomic, first_line
from harmonica.metrics.pixels import ENDINGS, read_rgb

IMAGES_AT_ONCE = 64
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class ImageSet:
    """`num_images` square RGB images of side `resolution`: an .npz file, or the files of a folder
    in the order of their names. left_out: a sentence about its other files, or None.
    """

    path: Path
    num_images: int
    resolution: int
    files: tuple[Path, ...] = ()
    left_out: str | None = None

    def batches(self):
        """Yield uint8 arrays (n, 3, H, W) of up to 64 images, in order. BadInput where the file or
        an image is damaged.
        """
        return _of_folder(self) if self.files else _of_npz(self.path)


def open_images(path, field="samples"):
    """-> ImageSet of an .npz file or a folder. Only the header or the first image is read.
    BadInput, naming `field`, where it is neither.
    """
    path = Path(path)
    check(
        path.exists(),
        field,
        str(path),
        "it does not exist; give an .npz as ADM's evaluator reads, or a folder of images",
    )
    if path.is_dir():
        files, left_out = images_below(path)
        right = f"there is no image in this folder; put {', '.join(ENDINGS)} files into it"
        check(files, field, str(path), right)
        return ImageSet(path, len(files), _image(files[0]).shape[1], tuple(files), left_out)
    with _arr_0(path) as (_, shape):
        return ImageSet(path, shape[0], shape[1])


def images_below(folder):
    """-> the image files below a folder, recognised by their endings, in the order of their names;
    a sentence about the other files, or None. Links are followed.
    """
    images, other_files = [], []
    for path in files_below(Path(folder)):
        (images if path.suffix.lower() in ENDINGS else other_files).append(path)
    return images, left_out(folder, other_files)


def files_below(folder, above=()):
    """Yield the files below a folder, in the order of their names. Links are followed, except to a
    folder that contains them. A broken link is yielded too: reading it then fails by its name.
    """
    resolved = folder.resolve()
    if resolved in above:
        return
    with os.scandir(folder) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from files_below(folder / entry.name, (*above, resolved))
        elif entry.is_file() or entry.is_symlink():
            yield folder / entry.name


def left_out(folder, files):
    """-> a sentence that says how many files of which kinds are left out, or None for no files."""
    if not files:
        return None
    kinds = Counter(path.suffix.lower() or path.name for path in files).most_common()
    named = ", ".join(f"{count} {kind}" for kind, count in kinds[:5])
    more = f" and {len(kinds) - 5} other kinds" if len(kinds) > 5 else ""
    count = "1 file is" if len(files) == 1 else f"{len(files)} files are"
    return f"{count} left out of {folder}: {named}{more}"


def write_npz(path, batches, num_images, **arrays):
    """Write the .npz that ADM's evaluator reads: arr_0 of `num_images` images, and `arrays`.

    batches: uint8 arrays (n, 3, H, H). The bytes do not depend on how the images are batched. The
    file is whole or absent. BadInput where the number of images or their form is wrong.
    """
    resolution = None
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open(zipfile.ZipInfo("arr_0.npy"), "w", force_zip64=True) as file:
            for batch in counted(batches, num_images):
                if resolution is None:
                    resolution = batch.shape[-1]
                    shape = (num_images, resolution, resolution, 3)
                    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(batch.transpose(0, 2, 3, 1)).data)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def counted(batches, num_images, resolution=None):
    """Yield `batches` unchanged. BadInput unless each is uint8 (n, 3, H, H) with H = `resolution`
    (by default the first batch's), `num_images` in all.
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
def reading(path, name):
    """Turn any error of reading the array `name` of an .npz into a BadInput that names both."""
    try:
        yield
    except BadInput:
        raise
    except KeyError:
        raise BadInput(f"{path} has no {name}") from None
    except Exception as error:  # zipfile, its decompressors and numpy raise almost anything
        if isinstance(error, OSError) and error.filename:
            raise  # its message already names the file and the reason
        raise BadInput(
            f"{path} is damaged or no .npz file: its {name} cannot be read ({first_line(error)}); "
            "write or copy it anew"
        ) from None


@contextmanager
def _arr_0(path):
    """Open arr_0 of an .npz -> (file, which is at the first pixel; shape). Nothing is unpickled."""
    with (
        reading(path, "arr_0"),
        zipfile.ZipFile(path) as archive,
        archive.open("arr_0.npy") as file,
    ):
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"version {version} of numpy's format is for names in its dtype")
        shape, fortran, dtype = HEADERS[version](file)
        square = len(shape) == 4 and min(shape) >= 1 and shape[1:] == (shape[1], shape[1], 3)
        right = "uint8 (N, H, H, 3) is needed: square RGB images, channels last"
        check(dtype == np.uint8 and square, f"{path}'s arr_0", f"{dtype} {shape}", right)
        right = "save numpy.ascontiguousarray of it"
        check(not fortran, f"{path}'s arr_0", "Fortran order", right)
        yield file, shape


def _of_npz(path):
    with _arr_0(path) as (file, (count, resolution, *_)):
        for start in range(0, count, IMAGES_AT_ONCE):
            shape = (min(IMAGES_AT_ONCE, count - start), resolution, resolution, 3)
            content = file.read(int(np.prod(shape)))
            if len(content) != np.prod(shape):
                at = start + len(content) // (resolution * resolution * 3)
                raise EOFError(f"it ends within image {at} of {count}")
            yield np.frombuffer(content, np.uint8).reshape(shape).transpose(0, 3, 1, 2)


def _of_folder(images):
    for start in range(0, len(images.files), IMAGES_AT_ONCE):
        files = images.files[start : start + IMAGES_AT_ONCE]
        batch = [_image(file) for file in files]
        right = f"the first image of its folder has {images.resolution}; give images of one size"
        for file, image in zip(files, batch):
            same = image.shape[1] == images.resolution
            check(same, str(file), f"{image.shape[1]} pixels", right)
        yield np.stack(batch)


def _image(path):
    """-> uint8 (3, H, H)."""
    image = np.asarray(read_rgb(path, str(path))).transpose(2, 0, 1)
    check(
        image.shape[1] == image.shape[2],
        str(path),
        f"{image.shape[2]} x {image.shape[1]} pixels",
        "crop it to a square",
    )
    return image
