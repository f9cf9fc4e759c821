"""Times functions alternately with a reference; a time ends when the device has finished."""

import torch

from harmonica.lab.latency import interleaved, quartiles, synchronized

AT_LEAST_MS = 30  # one measurement calls a shorter function several times, to take this long
MOST_REPEATS = 15  # the most repeats of such a measurement


def waiting(function):
    """The same as `synchronized`, with gradients off."""
    return torch.no_grad()(synchronized(function))


def compare(reference, functions, repeats):
    """Time `reference` and the functions alternately -> {name: row} (see `row`), with the ratios
    reference / function.
    """
    seconds = interleaved({None: reference, **functions}, repeats)
    return {name: row(seconds[None], seconds[name]) for name in functions}


def compare_short(reference, functions, repeats):
    """As `compare`, for functions that are so short that one measurement makes several calls; the
    times are those of one call.
    """
    count = _calls(reference)
    functions = {name: _repeated(function, count) for name, function in functions.items()}
    rows = compare(_repeated(reference, count), functions, min(repeats, MOST_REPEATS))
    return {name: _per_call(row, count) for name, row in rows.items()}


def row(reference, ours):
    """The medians in ms and the ratio of two functions. reference, ours: seconds of each repeat."""
    ms, iqr = quartiles([1000 * s for s in ours])
    ratio, ratio_iqr = quartiles([r / s for r, s in zip(reference, ours)])
    return {
        "reference_ms": 1000 * quartiles(reference)[0],
        "ms": ms,
        "iqr_ms": iqr,
        "ratio": ratio,
        "ratio_iqr": ratio_iqr,
        "ratio_fastest": min(reference) / min(ours),
        "repeats": len(ours),
    }


def _calls(function):
    """How many calls of a function one measurement makes, so that it takes about AT_LEAST_MS."""
    function()
    seconds = interleaved({"": function}, 2)[""]
    return max(1, round(AT_LEAST_MS / (1000 * min(seconds))))


def _repeated(function, count):
    return lambda: [function() for _ in range(count)]


def _per_call(row, count):
    """A row of `compare` with its times divided by `count`."""
    times = {
        key: [v / count for v in value] if isinstance(value, list) else value / count
        for key, value in row.items()
        if key.endswith("ms")
    }
    return row | times
