"""Finds what the metrics need, and checks it against the published hashes: Inception, clean-fid's
own Inception, and CLIP.
"""

from pathlib import Path

from harmonica import weights
from harmonica.metrics import features
from harmonica.weights import catalogue


def inception_path():
    """Where the weights of the paper scale's Inception are looked for."""
    return weights.folder() / catalogue.INCEPTION


def inception(path=None, sha256=None):
    """The network with the weights in the file `path`, by default inception_path().

    sha256: the whole hash of the file, or its beginning; by default the published one. BadInput
    where the file is missing, has another hash or holds no InceptionV3.
    """
    path = Path(path or inception_path())
    published = catalogue.PUBLISHED[catalogue.INCEPTION]
    weights.checked(path.name, sha256 or published.sha256, "inception", path.parent)
    return features.inception(path)


def clean_inception(folder):
    """-> clean-fid's network and None, or, where its weights are not in `folder`, None and a
    sentence that says so. BadInput where the file has another hash.
    """
    entry = catalogue.PUBLISHED[catalogue.CLEAN_INCEPTION]
    if not (folder / entry.name).is_file():
        return None, f"clean_FID is left out: {entry.name} of {entry.source} is not in {folder}"
    weights.checked(entry.name, entry.sha256, "inception", folder)
    return features.CleanInception(folder), None


def clip(spec):
    """The CLIP checkpoint of a FileSpec, a folder or hub id. BadInput where it is missing or has
    another hash.
    """
    path = weights.checked(spec.name, spec.sha256, "clip")
    from harmonica.metrics.clip import Clip  # transformers takes seconds to import

    return Clip(path, spec.name)
