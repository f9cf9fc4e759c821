"""Reads training images from folders of classes, tars of classes, or WebDataset shards."""

import io
import os
import tarfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harmonica.errors import BadInput, check
from harmonica.files import first_line
from harmonica.metrics.images import files_below, left_out
from harmonica.metrics.pixels import ENDINGS, read_rgb


@dataclass(frozen=True)
class Source:
    """One image. path: its file, or a tar in which it is `member`. group: the name of its class."""

    path: Path
    member: str | None
    group: str


def below(folder):
    """The images below a folder, in a fixed order -> [Source], and a sentence about files that are
    left out, or None.

    The folder holds folders of classes, or tars. In a tar an image's class is what its .cls file
    says (WebDataset), else the folder of the member, else the tar's name (as in ImageNet's own
    n01440764.tar).
    """
    folder = Path(folder)
    check(folder.is_dir(), "images", str(folder), "give a folder of class folders, or of tars")
    files = list(files_below(folder))
    tars = [path for path in files if path.suffix == ".tar" and path.parent == folder]
    if tars:
        used_files = tars
        parts = [_of_tar(tar) for tar in tars]
        sources = [source for part, _ in parts for source in part]
        other_files = [path for _, part in parts for path in part]
    else:
        used_files = [
            path for path in files if path.parent != folder and path.suffix.lower() in ENDINGS
        ]
        sources = [Source(path, None, path.relative_to(folder).parts[0]) for path in used_files]
        other_files = []
    right = f"there are no class folders with {', '.join(ENDINGS)} files in it, and no tars"
    check(sources, "images", str(folder), right)
    used_files = set(used_files)
    return sources, left_out(
        folder, [path for path in files if path not in used_files] + other_files
    )


def read(source):
    """-> a Pillow image of mode RGB. BadInput, with file and member, where it cannot be read."""
    if source.member is None:
        return read_rgb(source.path, f"images: {source.path}")
    with _reading(source.path, source.member):
        content = _open(source.path).extractfile(source.member).read()
    return read_rgb(io.BytesIO(content), f"images: {source.path} {source.member}")


def _of_tar(path):
    """-> the images in a tar, the names of its other files."""
    names, classes, other_files = [], {}, []
    with _reading(path), tarfile.open(path) as tar:
        for member in tar:
            stem, ending = os.path.splitext(member.name)
            if ending == ".cls":
                with _reading(path, member.name):
                    classes[stem] = tar.extractfile(member).read().decode().strip()
            elif ending.lower() in ENDINGS:
                names.append(member.name)
            elif not member.isdir():
                other_files.append(Path(member.name))
        _whole(tar)
    duplicate = next((name for name, count in Counter(names).items() if count > 1), None)
    check(not duplicate, f"images: {path}", duplicate, "it holds two files of that name")
    groups = [
        classes.get(os.path.splitext(name)[0]) or Path(name).parent.name or path.stem
        for name in sorted(names)
    ]
    return [Source(path, name, group) for name, group in zip(sorted(names), groups)], other_files


def _whole(tar):
    """ReadError where a tar does not end with a block of zeros: without this check, one that was
    cut off between two files would pass.
    """
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("its end is missing")


@lru_cache(maxsize=2)
def _open(path):
    return tarfile.open(path)


@contextmanager
def _reading(path, member=""):
    """Turn whatever reading a tar raises into a BadInput that names it."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # tarfile and its decompressors raise almost anything
        label = f"{path} {member}".strip()
        raise BadInput(
            f"images: {label} cannot be read ({first_line(error)}); copy it anew or take it out"
        ) from None
