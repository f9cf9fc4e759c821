"""Worker processes: one torch thread each; they end when their parent ends or is interrupted."""

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


@contextmanager
def workers(count):
    """An executor of `count` processes; `submit` gives it work. An error or Ctrl-C in the block
    ends the processes at once.
    """
    resource_tracker.ensure_running()  # now: its start unblocks SIGINT, which `submit` blocks
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
    """pool.submit with SIGINT blocked. A process that it starts inherits the block and lifts it in
    `start_worker`: a Ctrl-C before that would print a traceback.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def start_worker():
    """Set up a worker. Ctrl-C ends it at once, without clearing up, as its work is saved as it
    goes; it ends with its parent, keeps freed memory and has one torch thread.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # a killed process would leave tqdm's own semaphore behind
    import torch

    from harmonica.lab.memory import keep_freed

    keep_freed()
    torch.set_num_threads(1)
    if torch.cuda.is_available():  # at paper scale there is one process per GPU
        torch.cuda.set_device((number() - 1) % torch.cuda.device_count())


def number():
    """The number of this worker, from 1."""
    return int(current_process().name.rsplit("-", 1)[1])


def _end_with_parent():
    """Exit with the parent: else a worker whose parent was killed would wait for work for ever."""
    parent_process().join()
    os._exit(1)
