"""Writes rows as text: one line each while measuring, Markdown tables at the end."""

import torch

from harmonica.lab.provenance import device_name


def line(row):
    return "  ".join(f"{key} {text(value)}" for key, value in row.items())


def markdown(titles, rows, profiles):
    """The page in Markdown. titles: {table: what it compares}, of which the first paragraph is
    used, in one line. rows: {table: list of dicts}. profiles: list of dicts.
    """
    dtype = "bfloat16; digits float32" if torch.cuda.is_available() else "float32"
    lines = [
        f"# Benchmark on {device_name()}",
        "",
        f"One CPU thread, {dtype}. ratio = reference / ours (> 1: ours is faster), the median of "
        "the ratios within one repeat; fastest: the ratio of the fastest repeats, which other load "
        "on the machine touches least. Brackets: first and third quartile.",
        "",
    ]
    for name, table_rows in rows.items():
        title = " ".join(titles[name].strip().split("\n\n")[0].split())
        lines += [f"## {name}", "", title, "", *table(table_rows), ""]
    if profiles:
        lines += [
            "## profiles",
            "",
            "The smallest ratio of each table: operations (GPU: kernels) launched per step, and "
            "the share of the time outside attention and feed-forward.",
            "",
        ] + table(list(map(_profile, profiles)))
    return "\n".join(lines) + "\n"


def _profile(profile):
    figures = "ratio", "launched_per_step", "share_outside"
    description = [
        f"{key} {text(value)}" for key, value in profile.items() if key not in ("table", *figures)
    ]
    return {
        "table": profile["table"],
        "what": ", ".join(description),
        **{key: profile[key] for key in figures},
    }


def table(rows):
    """Rows of the same fields -> lines of a Markdown table."""
    return ["| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0])] + [
        "| " + " | ".join(text(value) for value in row.values()) + " |" for row in rows
    ]


def text(value):
    """A figure as tables print it."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return "[" + ", ".join(text(v) for v in value) + "]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
