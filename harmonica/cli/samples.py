"""`python -m harmonica samples RUN X.npz`: write the images of a run as an .npz for ADM's
evaluator.
"""

from harmonica.cli.command import out_file, text
from harmonica.errors import check


def add(commands):
    samples = commands.add_parser(
        "samples", help="a run's images as the .npz that ADM's evaluator reads"
    )
    samples.add_argument("run", metavar="RUN", type=text, help="its id, as --status lists it")
    samples.add_argument("out", metavar="X.npz", type=out_file(".npz"), help="the file to write")
    samples.set_defaults(function=_export)


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
