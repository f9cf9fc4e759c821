"""Rows as text: one line each while measuring, Markdown tables at the end."""

import torch

from harmonica.lab.provenance import device_name


def line(row):
    return "  ".join(f"{key} {_text(value)}" for key, value in row.items())


def markdown(titles, rows, profiles):
    """titles: table -> what it compares; rows: table -> list of dicts; profiles: list of dicts."""
    dtype = "bfloat16; digits float32" if torch.cuda.is_available() else "float32"
    lines = [
        f"# Benchmark on {device_name()}",
        "",
        f"One CPU thread, {dtype}. ratio = reference / ours (> 1: ours is "
        "faster), the median of the ratios within one repeat; fastest: the ratio of the fastest "
        "repeats, which other load "
        "on the machine touches least. Brackets: first and third quartile.",
        "",
    ]
    for table, own in rows.items():
        lines += [f"## {table}", "", titles[table].strip().splitlines()[0], ""] + _table(own) + [""]
    if profiles:
        lines += [
            "## profiles",
            "",
            "The smallest ratio of each table: operations (GPU: kernels) launched per step, and "
            "the "
            "share of the time outside attention and feed-forward.",
            "",
        ] + _table(list(map(_profile, profiles)))
    return "\n".join(lines) + "\n"


def _profile(profile):
    figures = "ratio", "launched_per_step", "share_outside"
    what = [
        f"{key} {_text(value)}" for key, value in profile.items() if key not in ("table", *figures)
    ]
    return {
        "table": profile["table"],
        "what": ", ".join(what),
        **{key: profile[key] for key in figures},
    }


def _table(rows):
    return ["| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0])] + [
        "| " + " | ".join(_text(value) for value in row.values()) + " |" for row in rows
    ]


def _text(value):
    if value is None:
        return "-"
    if isinstance(value, list):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
