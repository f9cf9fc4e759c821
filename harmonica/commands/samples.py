"""`python -m harmonica samples RUN X.npz`: the images of a run as the .npz that ADM's evaluator reads."""
from pathlib import Path

LOCAL = Path("results/local")


def add(commands):
    samples = commands.add_parser("samples", help="a run's images as the .npz that ADM's evaluator reads")
    samples.add_argument("run", metavar="RUN", help="its id, as --status lists it")
    samples.add_argument("out", metavar="X.npz")
    samples.set_defaults(function=_export)


def _export(arguments):
    import numpy as np

    from .. import check
    from ..metrics.images import write_npz
    from ..store import read_json
    record = LOCAL / "runs" / f"{arguments.run}.json"
    check(record.exists(), "run", arguments.run, f"{record} does not exist; only a finished run's images are exported")
    config = read_json(record)["config"]
    blocks = sorted((LOCAL / "samples" / arguments.run).glob("block-*.npy"))
    count, batch = config["num_images"], config["batch"]
    check("images" in config, "run", arguments.run, "its images are no RGB images; runs of SCALE=paper have those")
    check(len(blocks) == -(-count // batch), "run", arguments.run, f"{len(blocks)} of {-(-count // batch)} blocks of images are there")
    write_npz(arguments.out, (np.load(path, allow_pickle=False)[:count - i * batch] for i, path in enumerate(blocks)), count)
    print(f"wrote {count} images to {arguments.out}")
