"""Images per second when sampling is divided among processes, one for each core (or GPU), against a
single process (reference). The model is the digits model, with FORA at interval 2.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median

import torch

from harmonica.bench.bench import Bench
from harmonica.fast.plan import compile_schedule
from harmonica.lab.latency import interleaved
from harmonica.lab.provenance import num_cores

BLOCKS, BATCH, REPEATS = 8, 50, 3


def rows(bench):
    most = torch.cuda.device_count() if bench.cuda else num_cores()
    ways = sorted({1, most})
    pools = {
        count: ProcessPoolExecutor(count, get_context("spawn"), _ready, (bench.model,))
        for count in ways
    }
    try:
        # the warm-up starts the processes
        seconds = interleaved(
            {count: partial(_sample, pool) for count, pool in pools.items()}, REPEATS
        )
        for count in ways:
            yield (
                {
                    "processes": count,
                    "images_per_s": BLOCKS * BATCH / median(seconds[count]),
                    "ratio": median(
                        single / several for single, several in zip(seconds[1], seconds[count])
                    ),
                },
                None,
            )
    finally:
        for pool in pools.values():
            pool.shutdown()


def _sample(pool):
    list(pool.map(_block, range(BLOCKS)))


def _ready(model):
    torch.set_num_threads(1)
    case = Bench(model, 2, ["eager"]).digits
    fora = case.schedules()["FORA 2"]
    _block.sample = case.sampled(BATCH, compile_schedule(case.backbone, fora))
    _block.sample()


def _block(number):
    _block.sample()
