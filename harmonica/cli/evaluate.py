"""`python -m harmonica evaluate`: compute ADM's metrics of any samples (.npz or folder), or make a
reference from any images. `samples RUN X.npz` writes the images of a run as such an .npz.
"""

import sys
import warnings
from pathlib import Path

from harmonica.cli.command import hexadecimal, out_file, show, text
from harmonica.errors import BadInput, check

PUBLISHED_IMAGES = 50_000  # the number of samples that published figures are computed from


def add(commands):
    evaluate = commands.add_parser(
        "evaluate", help="compute IS, FID, sFID, precision and recall of images, by ADM's protocol"
    )
    images = evaluate.add_mutually_exclusive_group(required=True)
    images.add_argument(
        "--samples",
        metavar="X",
        type=text,
        help="the images to evaluate: a folder, or an .npz as ADM's evaluator reads it",
    )
    images.add_argument(
        "--make-reference",
        metavar="IMAGES",
        type=text,
        help="make a reference from these images instead (a folder or an .npz)",
    )
    evaluate.add_argument(
        "--reference",
        metavar="Y.npz",
        type=text,
        help="what the samples are compared with, e.g. VIRTUAL_imagenet256_labeled.npz",
    )
    evaluate.add_argument(
        "--out",
        metavar="Y.npz",
        type=out_file(".npz"),
        help="with --make-reference: the new file to write",
    )
    evaluate.add_argument(
        "--inception",
        metavar="PATH",
        type=text,
        help="Inception's weights; default the file in $HARMONICA_WEIGHTS or weights/",
    )
    evaluate.add_argument(
        "--inception-sha256",
        metavar="HEX",
        type=hexadecimal,
        help="accept other weights, whose sha256 begins with these digits",
    )
    evaluate.add_argument("--json", action="store_true", help="print the figures as JSON")
    evaluate.set_defaults(function=_evaluate)
    samples = commands.add_parser(
        "samples", help="write a run's images as an .npz that ADM's evaluator reads"
    )
    samples.add_argument("run", metavar="RUN", type=text, help="the run's id, as --status lists it")
    samples.add_argument("out", metavar="X.npz", type=out_file(".npz"), help="the file to write")
    samples.set_defaults(function=_export)


def _evaluate(arguments):
    _check_options(arguments)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        figures, notes = (_make_reference if arguments.make_reference else _score)(arguments)
    notes += [str(warning.message) for warning in caught if warning.category is UserWarning]
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.json:
        show({**figures, "notes": notes}, as_json=True)
    else:
        show({name: _rounded(value) for name, value in figures.items()})


def _check_options(arguments):
    """BadInput unless --samples comes with --reference, or --make-reference with a new --out."""
    if arguments.make_reference:
        if arguments.reference or not arguments.out:
            raise BadInput("--make-reference: name the file to be made with --out Y.npz")
        right = "it is there already; choose another name, or delete it"
        check(not Path(arguments.out).exists(), "out", arguments.out, right)
    elif arguments.out or not arguments.reference:
        raise BadInput("--samples: name what they are compared with by --reference Y.npz")


def _rounded(value):
    """A figure with its significant digits."""
    if not isinstance(value, float):
        return value
    return f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _score(arguments):
    from harmonica.metrics.adm import evaluate_images
    from harmonica.metrics.images import open_images
    from harmonica.weights.extractors import clean_inception

    samples = open_images(arguments.samples)
    resolution = open_images(arguments.reference, "reference").resolution
    check(
        samples.resolution == resolution,
        "samples",
        f"images of {samples.resolution} pixels",
        f"{arguments.reference} has images of {resolution}; give the reference of that resolution",
    )
    inception, folder = _inception(arguments)
    clean, without_clean = clean_inception(folder)
    notes = [note for note in (samples.left_out, without_clean) if note]
    if samples.num_images != PUBLISHED_IMAGES:
        notes.append(
            "FID and sFID depend on the number of images: published figures are of "
            f"{PUBLISHED_IMAGES}, these of {samples.num_images}"
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
    write_reference(arguments.out, images, _inception(arguments)[0])
    reference = read_reference(arguments.out)
    return {
        "reference": arguments.out,
        "num_images": images.num_images,
        "reference_images": reference.images.num_images,
        "resolution": images.resolution,
        "reference_sha256": reference.sha256,
    }, [images.left_out] if images.left_out else []


def _inception(arguments):
    """-> the network, on the GPU if there is one; the folder of its weights."""
    from harmonica.weights.extractors import inception, inception_path

    path = Path(arguments.inception or inception_path())
    return inception(path, arguments.inception_sha256), path.parent


def _shown(samples):
    """The batches of an ImageSet, with a progress bar on a terminal."""
    from tqdm import tqdm

    with tqdm(total=samples.num_images, unit="image", leave=False, disable=None) as bar:
        for batch in samples.batches():
            yield batch
            bar.update(len(batch))


def _export(arguments):
    from harmonica.files import read_json
    from harmonica.lab.sampling import load_blocks
    from harmonica.lab.store import LOCAL
    from harmonica.metrics.images import write_npz

    record, folder = LOCAL / "runs" / f"{arguments.run}.json", LOCAL / "samples" / arguments.run
    check(
        record.exists(),
        "run",
        arguments.run,
        f"{record} does not exist; only a finished run's images are exported",
    )
    content = read_json(record)
    config = content.get("config") if isinstance(content, dict) else None
    right = f"{record} is no record; delete it to have it made again"
    check(
        isinstance(config, dict) and {"num_images", "batch"} <= config.keys(),
        "run",
        arguments.run,
        right,
    )
    check(
        "images" in config,
        "run",
        arguments.run,
        "its images are no RGB images; runs of SCALE=paper have those",
    )
    num_images = config["num_images"]
    blocks = load_blocks(folder, num_images, config["batch"])
    write_npz(arguments.out, blocks, num_images)
    print(f"wrote {num_images} images to {arguments.out}")
