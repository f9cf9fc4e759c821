"""Blocks of pages that quote speeds, from the tables' latencies and the committed benchmarks. They
are functions of groups, {a table's name: [records.Group]}, and of the folder of results.
"""

from statistics import median

from harmonica.files import read_json

from .document import listed

CPU, GPU = "amd-epyc-2-cores", "nvidia-h200"  # files in bench/
DIGITS, SMALL = "digits (dit-digits-s0)", "DiT-S/2 256 shape"
HALF = 50  # percent
LARGE = ("DiT-XL/2 512", "PixArt 512", "PixArt 1024")  # models that are larger
PREDICTED = "predicted"  # the end of a schedule's name
# tables whose latencies are quoted {their key: their name}
TIMED = {"table1": "Table 1", "table2": "Table 2", "uvit": "U-ViT", "table1.clothes": "the clothes"}
EAGER = ", eager"  # the end of an item's name that ran without CUDA graphs
GB = 1e9


def cpu(groups, results):
    """On a CPU: cached sampling from Table 1's own latencies, the rest from the benchmark."""
    tables = read_json(results / "bench" / f"{CPU}.json")["tables"]
    update = next(row for row in tables["sdt-update"] if row["way"] == "lean")
    walks = tables["lambda-refresh"][0]["time_share"]
    forward = [row for row in tables["forward"] if row["backend"] == "eager"]
    ratios = {
        model: listed(
            f"{row['ratio']:.2f} (batch {row['batch']})" for row in forward if row["model"] == model
        )
        for model in (DIGITS, SMALL)
    }
    sentences = [
        *_of_theory(groups),
        f"An SDT update takes {update['time_share']:.2f} of the time and "
        f"{update['memory_share']:.2f} of the activation memory of an update as the released code "
        f"makes it. A measurement of lambda takes {walks:.2f} of the time of a full walk for every "
        f"step ([benchmark](../results/bench/{CPU}.md)).",
        "Diffusers' own uncached step takes longer than the one here: by a factor of "
        f"{ratios[DIGITS]} for the digits model, and of {ratios[SMALL]} in the shape of DiT-S/2.",
    ]
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _of_theory(groups):
    """How much of their theoretical speedup the cached rows of each table reach, as sentences."""
    timed = {key: [group for group in groups.get(key, ()) if group.latency] for key in TIMED}
    cached = {key: [line for group in timed[key] for line in _cached(group)] for key in TIMED}
    ranges = [
        f"{_range(_shares(lines))} ({TIMED[key]}; {100 * median(_shares(lines)):.0f} % is the "
        f"median of {len(lines)} rows)"
        for key, lines in cached.items()
        if lines
    ]
    if not ranges:
        return ["No latencies are measured yet."]
    devices = {group.latency["provenance"]["device"] for own in timed.values() for group in own}
    lines = [line for own in cached.values() for line in own]
    predicted, others = (
        [line for line in lines if ("prediction" in line.row.method) is kind]
        for kind in (True, False)
    )
    return [
        f"Cached rows reach these shares of their theoretical speedup: {', '.join(ranges)}. They "
        f"were measured with a batch of 16 on one thread of {listed(sorted(devices))}. The median "
        f"is {100 * median(_shares(predicted)):.0f} % for rows with predictions and "
        f"{100 * median(_shares(others)):.0f} % for all others: the weighted sums behind "
        "predictions are not counted among the multiply-accumulates."
    ]


def _cached(group):
    """The lines of a records.Group that cache and were timed."""
    return [line for line in group.lines if line.latency and not line.row.uncached]


def _shares(lines):
    """The measured over the theoretical speedup of each line."""
    return [line.latency["speedup"] / line.mean("speedup_theoretical") for line in lines]


def gpu_short(groups, results):
    """One sentence for the first page."""
    parts = _parts(results)
    step = _forward(parts, "DiT-XL/2 256", 8)
    reused, predicted = (_range_of_half(parts, kind) for kind in (False, True))
    return (
        "On a GPU, only speed and memory were measured, with random weights and CUDA graphs on an "
        f"[H200](results/bench/{GPU}.md). With half of all blocks skipped, sampling is {reused} "
        f"times as fast if they are reused, and {predicted} times if they are predicted. An "
        f"uncached step of DiT-XL/2 with 8 images takes {step['cudagraph']['ms']:.2g} ms; "
        f"diffusers' own takes {step['cudagraph']['reference_ms']:.2g} ms, or "
        f"{step['diffusers, compiled']['ms']:.3g} ms with compiled blocks."
    )


def _range_of_half(parts, predicted):
    """The measured speedups of schedules that skip half, as text."""
    ratios = [
        row["ratio"]
        for row in _sampled(parts, predicted)
        if f"CUR {HALF} %" in row["schedule"] or row["schedule"] == "FORA 2"
    ]
    return f"{min(ratios):.1f} to {max(ratios):.1f}"


def gpu(groups, results):
    """On an H200, in published shapes with random weights."""
    parts = _parts(results)
    eight_images, one_image = (_forward(parts, "DiT-XL/2 256", batch) for batch in (8, 1))
    large = [_forward(parts, model, 8) for model in LARGE]
    to_eager = [backends["cudagraph"]["ratio"] for backends in large]
    graph, single = eight_images["cudagraph"], one_image["cudagraph"]
    compiled = [
        backends["diffusers, compiled"]["ms"] / backends["cudagraph"]["ms"]
        for backends in (eight_images, one_image, *large)
    ]
    updates = {row["way"]: row for row in parts["c"]["SDT update"]}
    update, plain = updates["lean, compiled"], updates["lean"]
    low, high = (1 / ratio for ratio in reversed(parts["c"]["lambda"][0]["ratio_iqr"]))
    linear = {row["way"]: row for row in parts["c"]["linearisation"]}
    sentences = [
        f"An uncached step of DiT-XL/2 256 as a CUDA graph takes {graph['ms']:.2g} ms for 8 images "
        f"and {single['ms']:.2g} ms for one. That is {graph['ratio']:.1f} and "
        f"{single['ratio']:.1f} times as fast as diffusers' eager forward, and {compiled[0]:.1f} "
        f"and {compiled[1]:.1f} times as fast as diffusers with compiled blocks. "
        "Most of the difference is the time for launching kernels, which depends on the processor "
        "beside the GPU, so these factors are rough (diffusers even takes longer for one image "
        "than for eight). Larger shapes gain less. For 8 images these factors, over eager and "
        "over compiled blocks, are "
        + ", ".join(
            f"{eager:.2f} and {over:.2f} ({model})"
            for model, eager, over in zip(LARGE, to_eager, compiled[2:])
        )
        + ". The goals, over eager, were 1.3 for 8 images and 2 for one.",
        "Cached sampling under FORA and random schedules reaches these shares "
        "of its theoretical speedup, which counts multiply-accumulates: "
        f"{_achieved(parts, False)}. The goal was 95 %. "
        f"If skipped blocks are predicted, it reaches {_achieved(parts, True)}. "
        f"Without CUDA graphs it reaches {_achieved(parts, False, eager=True)}, and with "
        f"predictions {_achieved(parts, True, eager=True)}. "
        "The time that a step takes outside its blocks (modulations, patches, guidance, the "
        "sampler) is the same however much is skipped, so the share is lower where more is "
        "skipped, and for a single image.",
        f"An SDT update at batch 64 with guidance takes {update['time_share']:.2f} of the time "
        "of an update as the released code makes it, and "
        f"{update['memory_share']:.2f} of its memory "
        f"({update['bytes'] / GB:.0f} of {update['reference_bytes'] / GB:.0f} GB); the goal was "
        "half. Without compiled units (they need a C compiler) these shares are "
        f"{plain['time_share']:.2f} and {plain['memory_share']:.2f}. "
        f"A measurement of lambda takes {low:.2f} to {high:.2f} of the time of a full walk for "
        "every step (two repeats).",
        f"A linearisation of the search ({linear['predicted']['images']} images, "
        f"T = {linear['predicted']['T']}) takes as long as {linear['predicted']['in walks']:.0f} "
        "walks of the uncached model if skipped blocks are predicted, and as long as "
        f"{linear['reused']['in walks']:.1f} if they are reused; the estimate was "
        f"{linear['reused']['in walks, estimated']:g}. "
        f"Its peak memory is {linear['predicted']['peak_bytes'] / GB:.1f} GB, "
        f"of which {linear['predicted']['features_bytes'] / GB:.1f} GB are features.",
    ]
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _parts(results):
    """{part: {item: rows}} of the GPU's measurements."""
    parts = read_json(results / "bench" / f"{GPU}.json")["parts"]
    return {
        name: {item: result.get("rows", []) for item, result in part["items"].items()}
        for name, part in parts.items()
    }


def _forward(parts, model, batch):
    """{backend: its row} of an uncached step."""
    rows = parts["b"][f"forward {model}"]
    return {row["backend"]: row for row in rows if row["batch"] == batch}


def _sampled(parts, predicted):
    """The rows of all cached sampling, of schedules that predict skipped blocks or do not."""
    return [
        row
        for item, rows in parts["b"].items()
        for row in (rows if _is_sampling(item) else ())
        if row["schedule"].endswith(PREDICTED) == predicted
    ]


def _is_sampling(item, eager=False):
    """Whether an item is sampling by CUDA graphs, or without them."""
    return item.startswith("sampling ") and item.endswith(EAGER) == eager


def _achieved(parts, predicted, eager=False):
    """The measured over the theoretical speedup of each model, as text."""
    ranges = []
    for item, rows in parts["b"].items():
        if rows and _is_sampling(item, eager):
            shares = [
                row["achieved"] for row in rows if row["schedule"].endswith(PREDICTED) == predicted
            ]
            model = item.removeprefix("sampling ").removesuffix(", one image").removesuffix(EAGER)
            ranges.append(f"{_range(shares)} ({model}, batch {rows[0]['batch']})")
    return ", ".join(ranges)


def _range(shares):
    low, high = (f"{100 * bound(shares):.0f}" for bound in (min, max))
    return f"{low} %" if low == high else f"{low} to {high} %"
