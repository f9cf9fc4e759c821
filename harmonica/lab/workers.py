"""Worker processes: one torch thread each, gone when their parent is gone or interrupted."""

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import (
    active_children,
    current_process,
    get_context,
    parent_process,
    resource_tracker,
)

from tqdm import tqdm

from harmonica.lab.memory import keep_freed


@contextmanager
def workers(count):
    """An executor of that many processes; `submit` gives it work. An error or Ctrl-C in the block
    ends them at once.
    """
    resource_tracker.ensure_running()  # here, as starting it undoes what `submit` does to SIGINT
    with ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=start_worker
    ) as pool:
        try:
            yield pool
        except BaseException:
            for process in active_children():
                process.kill()
            raise


def submit(pool, function, *arguments):
    """pool.submit. A process that this starts inherits that SIGINT is blocked, until
    `start_worker`: at Ctrl-C before, Python would print a traceback.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def start_worker():
    """What a worker does first: Ctrl-C ends it at once, as what was saved is enough; one torch
    thread, no memory handed back, and an end when the parent ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # its own would be left behind by a process that is killed
    keep_freed()
    import torch

    torch.set_num_threads(1)
    if torch.cuda.is_available():  # at paper scale there is one process per GPU
        torch.cuda.set_device((number() - 1) % torch.cuda.device_count())


def number():
    """Of this worker, from 1."""
    return int(current_process().name.rsplit("-", 1)[1])


def _end_with_parent():
    """A worker whose parent was killed would wait for work for ever."""
    parent_process().join()
    os._exit(1)
