"""`python -m harmonica evaluate`: ADM's metrics of any samples (.npz or folder), and references
made of any images.
"""

import json
import sys
import warnings
from pathlib import Path

from harmonica.errors import check

PUBLISHED_IMAGES = 50_000  # behind every published figure of ADM's protocol


def add(commands):
    evaluate = commands.add_parser(
        "evaluate", help="IS, FID, sFID, precision and recall of samples, by ADM's protocol"
    )
    images = evaluate.add_mutually_exclusive_group(required=True)
    images.add_argument(
        "--samples",
        metavar="X",
        help="the images to evaluate: an .npz for ADM's evaluator, or a folder",
    )
    images.add_argument(
        "--make-reference",
        metavar="IMAGES",
        help="make Y.npz of these images (.npz or folder) instead",
    )
    evaluate.add_argument(
        "--reference", metavar="Y.npz", required=True, help="e.g. VIRTUAL_imagenet256_labeled.npz"
    )
    evaluate.add_argument(
        "--inception",
        metavar="PATH",
        help="weights; default the file in $HARMONICA_WEIGHTS or weights/",
    )
    evaluate.add_argument(
        "--inception-sha256",
        metavar="HEX",
        help="how that of other than the published weights begins",
    )
    evaluate.add_argument("--json", action="store_true", help="print the figures as JSON")
    evaluate.set_defaults(function=_evaluate)


def _evaluate(arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        figures, notes = (_make_reference if arguments.make_reference else _score)(arguments)
    notes += [str(warning.message) for warning in caught if warning.category is UserWarning]
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({**figures, "notes": notes}, indent=1))
    else:
        for key, value in figures.items():
            print(f"{key:16} {value}")


def _score(arguments):
    from harmonica.metrics.adm import evaluate_images
    from harmonica.metrics.clean import beside
    from harmonica.metrics.images import open_images

    samples = open_images(arguments.samples)
    resolution = open_images(arguments.reference, "reference").resolution
    check(
        samples.resolution == resolution,
        "samples",
        f"images of {samples.resolution} pixels",
        f"{arguments.reference} has images of {resolution}; give the reference of that resolution",
    )
    inception, folder = _inception(arguments)
    clean, left_out = beside(folder, inception.device)
    notes = [left_out] if left_out else []
    if samples.num_images != PUBLISHED_IMAGES:
        notes.append(
            f"FID and sFID depend on the number of images: published figures are of {PUBLISHED_IMAGES}, these of "
            f"{samples.num_images}"
        )
    figures = evaluate_images(
        _shown(samples),
        arguments.reference,
        inception=inception,
        num_images=samples.num_images,
        clean=clean,
    )
    return figures, notes


def _make_reference(arguments):
    from harmonica.metrics.adm import read_reference, write_reference
    from harmonica.metrics.images import open_images

    images = open_images(arguments.make_reference, "make-reference")
    write_reference(arguments.reference, images, _inception(arguments)[0])
    made = read_reference(arguments.reference)
    return {
        "reference": arguments.reference,
        "num_images": images.num_images,
        "reference_images": made.images.num_images,
        "resolution": images.resolution,
        "reference_sha256": made.sha256,
    }, []


def _inception(arguments):
    """-> the extractor on the GPU if there is one, the folder that its weights are in."""
    from harmonica.metrics.features import inception, inception_path

    path = Path(arguments.inception or inception_path())
    return inception(path, arguments.inception_sha256), path.parent


def _shown(samples):
    """The batches of an ImageSet, with a progress bar on a terminal."""
    from tqdm import tqdm

    with tqdm(total=samples.num_images, unit="image", leave=False, disable=None) as bar:
        for batch in samples.batches():
            yield batch
            bar.update(len(batch))
