"""Images per second when sampling is divided among processes, one for each core (or GPU), against a
single process (reference). The model is the digits model, with FORA at interval 2.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median

import torch

from harmonica.bench.setting import Setting
from harmonica.fast.plan import compile_mask
from harmonica.lab.provenance import num_cores

BLOCKS, BATCH, REPEATS = 8, 50, 3


def rows(setting):
    most = torch.cuda.device_count() if setting.cuda else num_cores()
    ways = sorted({1, most})
    pools = {
        count: ProcessPoolExecutor(count, get_context("spawn"), _ready, (setting.model,))
        for count in ways
    }
    try:
        seconds = {count: [] for count in ways}
        for repeat in range(1 + REPEATS):
            for count, pool in pools.items():
                begin = time.perf_counter()
                list(pool.map(_block, range(BLOCKS)))
                if repeat:  # the first one starts the processes
                    seconds[count].append(time.perf_counter() - begin)
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


def _ready(model):
    torch.set_num_threads(1)
    case = Setting(model, 2, ["eager"]).digits
    keep = case.schedules()["FORA 2"].keep
    _block.sample = case.sampled(BATCH, compile_mask(case.backbone, keep))
    _block.sample()


def _block(number):
    _block.sample()
