"""What a schedule costs: multiply-accumulates, theoretical speedup, cache memory; and measured latency."""
import statistics
import time

import torch

from .schedules import cur_percent, full


def macs(backbone, keep, halves=1):
    """Multiply-accumulates of one image under mask keep (T, N), guidance (halves = 2) included."""
    of_blocks = torch.tensor([block.macs for block in backbone.blocks], dtype=torch.float64)
    return int(halves * (len(keep) * backbone.fixed_macs + float((keep.double() @ of_blocks).sum())))


def summary(backbone, keep, against, halves=1):
    """The cost part of a record. against: number of steps of the uncached run that the speedup refers to."""
    sizes = torch.tensor([block.feature_size for block in backbone.blocks])
    plain = macs(backbone, full(against, len(backbone.blocks)), halves)
    own = macs(backbone, keep, halves)
    return {"macs": own, "cur_percent": cur_percent(keep), "speedup_theoretical": plain / own,
            # a feature must be held from one step to the next only where the next one reuses it
            "cache_elements_per_image": int((~keep * sizes).sum(1).max()) * halves}


def interleaved(functions, repeats=7, warmup=1):
    """Time several functions in turn, so that drift of the machine's speed hits all alike.

    functions: name -> callable. -> name -> list of `repeats` seconds.
    """
    seconds = {name: [] for name in functions}
    for repeat in range(warmup + repeats):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if repeat >= warmup:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def quartiles(values):
    """-> median, and the interquartile range as [first, third]."""
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return median, [first, third]
