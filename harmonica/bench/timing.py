"""How it is timed: functions in turn with a reference, until the device is done."""

import torch

from harmonica.lab.cost import interleaved, quartiles

AT_LEAST_MS = 30  # a measurement repeats what is shorter
MOST_REPEATS = 15  # of measurements that repeat


def waiting(function):
    """As synchronized, without gradients."""
    return torch.no_grad()(synchronized(function))


def synchronized(function):
    """A function that returns when the device is done."""

    def run():
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run


def compare(reference, functions, repeats):
    """Time `reference` and the functions in turn -> per function its row: both medians in ms, ratio
    reference / function.
    """
    seconds = interleaved({None: reference, **functions}, repeats, warmup=1)
    return {name: row(seconds[None], seconds[name]) for name in functions}


def row(reference, own):
    """Both medians in ms and their ratio, of the seconds of each repeat."""
    ms, iqr = quartiles([1000 * s for s in own])
    ratio, ratio_iqr = quartiles([r / s for r, s in zip(reference, own)])
    return {
        "reference_ms": 1000 * quartiles(reference)[0],
        "ms": ms,
        "iqr_ms": iqr,
        "ratio": ratio,
        "ratio_iqr": ratio_iqr,
        "ratio_fastest": min(reference) / min(own),
        "repeats": len(own),
    }


def times_at_least(function):
    """How often a function is called in one measurement: for AT_LEAST_MS."""
    function()
    seconds = interleaved({"": function}, 2)[""]
    return max(1, round(AT_LEAST_MS / (1000 * min(seconds))))


def repeated(function, count):
    return lambda: [function() for _ in range(count)]


def per_call(row, count):
    """A row of compare's with its times divided by `count`."""
    times = {
        key: [v / count for v in value] if isinstance(value, list) else value / count
        for key, value in row.items()
        if key.endswith("ms")
    }
    return row | times
