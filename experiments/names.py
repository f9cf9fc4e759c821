"""`python -m experiments list`: every experiment by its name, what it stands for, and the make
target that runs it. Imports no torch.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# a target of the Makefile and the experiments that it runs
RUNS = re.compile(r"^([a-z0-9-]+):.*\n\t\$\(call run,([^,]*),", re.M)


def add(commands):
    listed = "every experiment: what it stands for, and its make target"
    verb = commands.add_parser("list", help=listed)
    verb.set_defaults(function=lambda arguments: print("\n".join(lines())))


def names(folder=FOLDER):
    """All experiments: the folders within `folder` that have a config.py."""
    return sorted(path.parent.name for path in Path(folder).glob("*/config.py"))


def lines():
    """One line for each experiment."""
    by_name, titles = targets(), {name: title(name) for name in names()}
    width, of_titles = (max(map(len, texts), default=0) for texts in (titles, titles.values()))
    return [
        f"{name:{width}}  {title:{of_titles}}  {by_name.get(name, '-')}"
        for name, title in titles.items()
    ]


def title(name):
    """The heading of an experiment's README."""
    page = FOLDER / name / "README.md"
    if not page.exists():
        return "(it has no README.md yet)"
    return page.read_text().partition("\n")[0].removeprefix("# ")


def targets():
    """{experiment: the make command that runs it}, as the Makefile has it."""
    makefile = (FOLDER.parent / "Makefile").read_text()
    ablations = " ".join(name for name in names() if name.startswith("ablation_"))
    return {
        name: f"make {target}"
        for target, run in RUNS.findall(makefile)
        for name in run.replace("$(ABLATIONS)", ablations).split()
    }
