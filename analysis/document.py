"""A document as a list of blocks, and its two forms: Markdown, and text for the terminal.

A block is ("heading", level, text), ("text", text), ("list", items) or ("table", headings, rows of
strings).
"""

import textwrap

from harmonica.files import atomic

WIDTH = 118


def markdown(blocks):
    return "\n\n".join(_MARKDOWN[kind](*content) for kind, *content in blocks) + "\n"


def text(blocks):
    """Aligned and wrapped plain text."""
    return "\n\n".join(_TEXT[kind](*content) for kind, *content in blocks) + "\n"


def listed(items, word="and"):
    """Words as a list within a sentence: a; a and b; a, b and c."""
    *most, last = items
    return f"{', '.join(most)} {word} {last}" if most else last


def capital(words):
    """The same words, beginning with a capital letter."""
    return words[:1].upper() + words[1:]


def side_by_side(headings, rows):
    """A table with a column for each CUR. rows: [(cells under the headings, {CUR: cell})]."""
    curs = sorted({cur for _, by_cur in rows for cur in by_cur})
    cells = [[*leading, *(by_cur.get(cur, "") for cur in curs)] for leading, by_cur in rows]
    return "table", [*headings, *(f"CUR {cur:g} %" for cur in curs)], cells


def write(path, content):
    """Write a file whole -> its path."""
    with atomic(path) as temporary:
        temporary.write_text(content)
    return path


def _pipes(headings, rows):
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _aligned(headings, rows):
    rows = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *rows)]
    lines = [headings, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    )


def _wrapped(paragraph, first_indent="", other_indent=""):
    return textwrap.fill(
        _plain(paragraph),
        WIDTH,
        initial_indent=first_indent,
        subsequent_indent=other_indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _plain(string):
    return string.replace("**", "")


_MARKDOWN = {
    "heading": lambda level, title: f"{'#' * level} {title}",
    "text": str,
    "table": _pipes,
    "list": lambda items: "\n".join(f"- {item}" for item in items),
}
_TEXT = {
    "heading": lambda level, title: title.upper() if level == 1 else f"{title}\n{'=' * len(title)}",
    "text": _wrapped,
    "table": _aligned,
    "list": lambda items: "\n".join(_wrapped(item, "- ", "  ") for item in items),
}
