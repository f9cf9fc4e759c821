"""`python -m tools.gpu_evidence`: the parts, one process each, and their report."""

import sys
import time
from pathlib import Path

from tools.gpu_evidence import wheels

SHARES = {
    "a": 2.4,
    "b": 4.2,
    "c": 1.7,
    "d": 0.6,
    "e": 1.1,
}  # minutes of each part; --minutes is shared out in these proportions


def main(argv=None):
    from harmonica.cli.command import Parser, out_folder, text, whole

    top = Parser(prog="python -m tools.gpu_evidence", description=__doc__.split("`: ")[1])
    out = "the folder to write to; default %(default)s"
    top.add_argument("--out", type=out_folder, default="results/bench", help=out)
    top.add_argument(
        "--wheels", type=text, help=f"a folder with the wheels of {', '.join(wheels.NEEDED)}"
    )
    parts = "measure only these parts; default all"
    top.add_argument("--parts", nargs="+", choices=SHARES, default=list(SHARES), help=parts)
    top.add_argument(
        "--router", type=text, help="a published router of DiT-XL/2 256, to be timed too"
    )
    minutes = "minutes for all parts together; default %(default)s"
    top.add_argument("--minutes", type=whole(1, 60), default=10, help=minutes)
    repeats = "how often each time is measured; default %(default)s"
    top.add_argument("--repeats", type=whole(2, 1000), default=5, help=repeats)
    top.add_argument(
        "--tiny", action="store_true", help="a rehearsal with toy sizes, which also runs on a CPU"
    )
    arguments = top.parse_args(argv)
    return evidence(arguments)


def evidence(arguments):
    from tools.gpu_evidence.parts import PARTS, Sizes, in_process
    from tools.gpu_evidence.report import write

    sizes = Sizes(tiny=arguments.tiny, repeats=arguments.repeats, router=arguments.router)
    out = Path(arguments.out)
    begin = time.time()
    share = 60 * arguments.minutes / sum(SHARES[part] for part in arguments.parts)
    for part in arguments.parts:
        print(f"\n{part}. {PARTS[part].__doc__.splitlines()[0]}", flush=True)
        in_process(part, sizes, out, share * SHARES[part])
    path = write(out, arguments.parts)
    print(f"\n{time.time() - begin:.0f} s; wrote {path} and {path.with_suffix('.md')}")
    return 0


if __name__ == "__main__":
    wheels.install(sys.argv)
    from harmonica.cli import command

    sys.exit(command.run(main, sys.argv[1:]))
