"""How it is timed: functions in turn with a reference, until the device is done."""

import torch

from harmonica.lab.cost import interleaved, quartiles


def waiting(function):
    """A function that returns when the device is done."""

    @torch.no_grad()
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
    return {name: _row(seconds[None], seconds[name]) for name in functions}


def _row(reference, own):
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
