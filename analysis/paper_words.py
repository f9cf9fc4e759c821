"""The paper's own numbers behind a claim, in a sentence each."""

from .methods import FEWER, HARMONICA, UNCACHED
from .paper_numbers import published


def _blocks(name):
    """[[row]]: the published rows of each uncached model, itself first. A row without speedup
    begins a block.
    """
    blocks = []
    for row in published(name):
        if row["speedup"] == "":
            blocks.append([])
        blocks[-1].append(row)
    return blocks


def fids(name, other):
    """FID of HarmoniCa against another method's, block by block."""
    comparisons = []
    for uncached, *cached in _blocks(name):
        ours = next(row for row in cached if row["method"] == HARMONICA)
        method = uncached["method"] if other == FEWER else other
        theirs = [row for row in cached if row["method"] == method]
        for row in [uncached] if other == UNCACHED else theirs:
            sampler = f" {uncached['sampler']}" if "sampler" in uncached else ""
            steps = f"{ours['T']} against {row['T']}" if other == FEWER else ours["T"]
            comparisons.append(
                f"{ours['FID']} against {row['FID']} ({row['model']}{sampler}, T = {steps})"
            )
    against = {FEWER: FEWER, UNCACHED: "the uncached model's"}.get(other, f"{other}'s")
    return f"FID of HarmoniCa against {against}: {'; '.join(comparisons)}."


def speedups(*names):
    """The range of HarmoniCa's latency speedups in each published table."""
    ranges = []
    for name in names:
        ours = [row["speedup"] for row in published(name) if row["method"] == HARMONICA]
        speeds = sorted(ours, key=float)
        table = name.split("_")[0].replace("table", "Table ")
        ranges.append(f"{speeds[0]} to {speeds[-1]} in {table}")
    return f"Speedup of HarmoniCa by latency: {', '.join(ranges)}."


def trajectory_error():
    rows = published("figure_error_along_trajectory_T20")
    errors = (f"{row['method']} {row['x_mse_at_x0']} at CUR {row['CUR_percent']} %" for row in rows)
    return (
        f"Mean squared error of x_0 against the uncached run ({rows[0]['model']}, T = "
        f"{rows[0]['T']}): {', '.join(errors)}."
    )


def training_cost():
    costs = (
        f"{row['method']}: {row['images']} images, {row['time_h']} h, "
        f"{row['memory_GB_per_GPU']} GB per GPU"
        for row in published("table_training_cost")
    )
    return f"{'; '.join(costs)}."


def cited(name, *columns):
    entries = []
    for row in published(name):
        numbers = ", ".join(f"{column.split('_')[0]} {row[column] or '-'}" for column in columns)
        entries.append(f"{row['model']}, {row['method']}: {numbers}")
    return f"{'; '.join(entries)}."
