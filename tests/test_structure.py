"""The map of the house: imports point one way, in no circle, and the library's first floor is
small.

Every import counts: within functions, and by import_module or __import__ with a constant name.
"""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import harmonica

ROOT = Path(__file__).resolve().parent.parent
# A part may import parts of the floors below its own, and of its own floor where no circle arises.
FLOORS = (
    "errors",
    "files",
    "plot method backbones samplers metrics",
    "search fast",
    "pipeline weights compress",
    "digits clothes",
    "lab",
    "bench cli __main__",
    "slurm",
    "experiments",
    "analysis tools",
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts.split()}


def sources():
    """{module name: its path} of everything that is not a test."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    paths = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [Path(path) for path in paths.split() if not path.startswith(("tests/", "examples/"))]
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in found}


MODULES = {name: path for name, path in sources().items() if (ROOT / path).exists()}


def imported(name):
    """The modules of this repository that a module imports, wherever in the file."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    targets = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parts, node.module] if node.module else parts)
            targets |= {f"{base}.{alias.name}" for alias in node.names} | {base}
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            constants = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            targets |= {value for value in constants if isinstance(value, str)}
    known = {target for target in targets if target in MODULES and target != name}
    # `from harmonica.method import sdt` imports sdt, not what the package's __init__ holds
    return {target for target in known if not any(k.startswith(target + ".") for k in known)}


def _called(node):
    return getattr(node.func, "id", getattr(node.func, "attr", None))


IMPORTS = {name: imported(name) for name in MODULES}


def part(name):
    """What a module belongs to: a folder or file of harmonica/, or a top-level folder."""
    first, *rest = name.split(".")
    return rest[0] if first == "harmonica" and rest else first


def circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]


def test_no_module_imports_itself_in_a_circle():
    assert circle(IMPORTS) is None


def test_no_parts_import_each_other():
    parts = {}
    for name, targets in IMPORTS.items():
        parts.setdefault(part(name), set()).update(map(part, targets) if targets else ())
    assert circle({own: targets - {own} for own, targets in parts.items()}) is None


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_import_points_up(name):
    own = part(name)
    if own == "harmonica":  # hands names on: anything may be named there
        return
    above = [target for target in IMPORTS[name] if FLOOR[part(target)] > FLOOR[own]]
    assert above == []


def test_the_method_knows_nothing_of_records_weights_or_digits():
    own = {target for name in MODULES if part(name) == "method" for target in IMPORTS[name]}
    assert {part(target) for target in own} <= {"errors", "files", "method", "samplers"}


def test_the_package_has_the_names_that_it_hands_on_and_no_others():
    assert all(getattr(harmonica, name) for name in harmonica.EXPORTS)
    assert {"apply_router", "remove_router", "Router"} <= harmonica.EXPORTS.keys()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = harmonica.nothing


def test_the_first_floor_is_small():
    entries = {Path(*path.parts[:2]) for path in MODULES.values() if path.parts[0] == "harmonica"}
    files = [entry for entry in entries if entry.suffix == ".py"]
    assert len(files) <= 5 and len(entries) - len(files) <= 15


ANALYSIS = ", ".join(name for name in MODULES if name.startswith("analysis."))
HEAVY = {"torch", "diffusers", "scipy", "sklearn"}
WITHOUT = {  # (code, modules that it must not import): what is asked often, or first, answers soon
    "help": (
        "import harmonica.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass",
        {"numpy", *HEAVY},
    ),
    "package": ("import harmonica", {"numpy", *HEAVY}),
    "lab": (
        "import harmonica.lab.specs, harmonica.lab.ids, harmonica.lab.store, harmonica.lab.needed",
        HEAVY,
    ),
    "tables": (
        "from experiments.dit_xl2_256 import config\nassert config.table('digits', 'all', 3)\n"
        "from experiments.dit_xl2_512 import config\nassert config.table('digits', 'all', 3)",
        HEAVY,
    ),
    "list": ("from experiments.__main__ import main\nassert main(['list']) == 0", HEAVY),
    "analysis": (f"import {ANALYSIS}, harmonica.plot", {"torch"}),
}


@pytest.mark.parametrize("code, absent", WITHOUT.values(), ids=WITHOUT)
def test_what_must_be_quick_imports_nothing_heavy(code, absent):
    code = f"import sys\n{code}\nheavy = {absent} & set(sys.modules)\nassert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
