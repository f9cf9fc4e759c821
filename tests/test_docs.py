"""The pages in Markdown: links lead somewhere, commands and code exist as they are written, numbers
are the committed ones.
"""

import ast
import importlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis import pages
from analysis.spec import FULL_SET
from analysis.tables import COMMITTED
from harmonica.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent
HIDDEN = {".git", ".venv", ".pytest_cache", "build"}  # and what this clone measured
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not HIDDEN & set(path.relative_to(ROOT).parts)
    and not path.relative_to(ROOT).as_posix().startswith("results/local")
)
PROSE = [
    page
    for page in PAGES
    if page.relative_to(ROOT).parts[0] not in ("results", "CHANGELOG.md")  # what is, not what was
]
FOLDERS = ("harmonica", "experiments", "slurm", "analysis", "tools", "tests", "examples")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, *languages):
    return [text for language, text in FENCE.findall(page.read_text()) if language in languages]


def anchors(page):
    """What a link may name after #: GitHub's slugs of the headings."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_inside_the_repository_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT) and target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_of_docs_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert [p for p in (ROOT / "docs").glob("*.md") if f"(docs/{p.name})" not in readme] == []


def test_the_readme_is_one_page():
    text = re.sub(r"<!--.*-->\n", "", (ROOT / "README.md").read_text())
    lines = text.splitlines()
    assert len(lines) <= 120
    assert max(map(len, (line for line in lines if not line.startswith(("|", "!"))))) <= 125


@pytest.mark.parametrize("page", PROSE, ids=name)
def test_python_on_a_page_is_python_and_imports_what_there_is(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("harmonica"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


def test_names_of_code_on_a_page_are_names_in_the_code():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    code = "\n".join(path.read_text() for path in [*files, ROOT / "Makefile"])
    for page in PROSE:
        text = FENCE.sub("", page.read_text())
        for word in re.findall(r"`([A-Z][a-z]+[A-Z]\w+|[A-Z]{3,}(?:_[A-Z]+)*)`", text):
            assert re.search(rf"\b{word}\b", code), (name(page), word)
        for path in re.findall(r"`((?:harmonica|experiments|slurm|analysis|tools)/[\w/.]+)`", text):
            if "cluster.toml" not in path:  # that is a user's own
                assert (ROOT / path).exists(), (name(page), path)


def commands(page):
    """-> (words, whole): the commands of a page, optional parts included. whole: it stands in a
    block of its own, else it is a mention within a sentence, which may leave things out.
    """
    fenced = [line for block in blocks(page, "", "sh") for line in block.splitlines()]
    text = FENCE.sub("", page.read_text()).replace("\n", " ")
    mentioned = re.findall(r"`([^`]+)`", text)
    for line, whole in [*((x, True) for x in fenced), *((x, False) for x in mentioned)]:
        line = re.sub(r"[\[\]]|\.\.\.|…", "", line)
        if re.match(r"([A-Z_]+=\S+ )*(make|\S*python|tools/\w+) ", line):
            words = shlex.split(line, comments=True)
            yield words[next(i for i, w in enumerate(words) if "=" not in w) :], whole


def everything(kind):
    """Every command of that kind on all pages, once: (words as a tuple, whole)."""
    found = {(tuple(words), whole) for page in PROSE for words, whole in commands(page)}
    return sorted(pair for pair in found if pair[0][0].endswith(kind))


def check_parses(words, whole):
    """words: -m MODULE ARGUMENT..."""
    assert words[0] == "-m"
    module = importlib.import_module(f"{words[1]}.__main__")
    if not hasattr(module, "parser"):  # the bench's, which no page calls but through make
        return
    parser, arguments = module.parser(), list(words[2:])
    if whole:
        parser.parse_args(arguments)
        return
    while parser._subparsers and arguments:
        (choices,) = (action.choices for action in parser._subparsers._group_actions)
        assert arguments[0] in choices, arguments
        parser, arguments = choices[arguments[0]], arguments[1:]
    options = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    assert options <= set(parser._option_string_actions), arguments


@pytest.mark.parametrize("command", everything("python"), ids=lambda pair: " ".join(pair[0]))
def test_a_command_on_a_page_is_understood(command):
    words, whole = command
    if words[1].endswith(".py"):
        assert (ROOT / words[1]).exists()
        return
    try:
        check_parses(words[1:], whole)
    except BadInput as error:
        pytest.fail(str(error))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_commands_name_targets_values_and_options_that_exist():
    for words, _ in everything("make"):
        targets = [w for w in words[1:] if "=" not in w]
        made = subprocess.run(
            ["make", "-n", "--no-print-directory", *words[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0 and targets, (words, made.stderr)
        for line in re.findall(r"^\S*bin/python (-m (?:harmonica|exp|ana).*)", made.stdout, re.M):
            check_parses(shlex.split(line), whole=True)


def test_seeds_of_make_commands_are_those_that_are_committed():
    committed = {table.committed_command() for table in COMMITTED}
    given = {" ".join(words) for words, _ in everything("make")}
    for command in given:
        seeds = re.search(r"SEEDS=(\d+)", command)
        if seeds and int(seeds[1]) <= FULL_SET and "SCALE=paper" not in command:
            assert command in committed, command


def test_tools_that_pages_name_are_there():
    tools = {words[0] for page in PROSE for words, _ in commands(page) if "tools/" in words[0]}
    assert tools and all((ROOT / tool).exists() for tool in tools)


def test_numbers_that_pages_quote_are_those_of_the_committed_tables():
    """`make paper` puts them right, and fails where it had to."""
    assert pages.stale(ROOT) == {}


# what decimals mean that no table holds: versions, settings, sizes and shares that are chosen
CHOSEN = {
    "README.md": "3.11 0.40 0.42 0.5 2.0",
    "docs/results.md": "4.5 1.0 1.5",
    "results/README.md": "",
}


@pytest.mark.parametrize("page", pages.PAGES)
def test_nothing_measured_is_written_by_hand(page):
    """Outside of the blocks that are made there are no decimals but chosen ones, and no counts."""
    text = re.sub(r"https?:\S+|\]\([^)]*\)|`[^`]*`", "", FENCE.sub("", (ROOT / page).read_text()))
    text = pages.MARKED.sub("", text)
    assert set(re.findall(r"(?<![\d.-])\d+\.\d+", text)) <= set(CHOSEN[page].split())
    assert re.findall(r"\b\d+ of \d+\b", text) == []
