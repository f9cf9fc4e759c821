"""Makes the missing artefacts on this machine: one process per core, one torch thread each, needs
before dependants.
"""

import os
import signal
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context, parent_process

from tqdm import tqdm

from harmonica.errors import BadInput
from harmonica.lab import estimates, words
from harmonica.lab.ids import with_needs
from harmonica.lab.memory import keep_freed
from harmonica.lab.store import Store


def make_all(artefacts, root, jobs):
    """Make what is missing below `root` -> {id: reason} of what failed; what rests on a failed one
    fails with it.
    """
    store = Store(root)
    missing = [a for a in with_needs(artefacts) if store.record(a) is None]
    if not missing:
        return {}
    jobs = min(jobs, len(missing))
    left = sum(map(estimates.seconds, missing)) / jobs
    print(
        f"{words.count(len(missing), 'artefact')} to make, about {words.duration(left)} with "
        f"{words.count(jobs, 'process')}; records go to {root}",
        flush=True,
    )
    try:
        return _make_in_pool(missing, root, jobs)
    except BrokenProcessPool:
        raise BadInput(
            "process: one was killed (out of memory, perhaps; fewer JOBS need less); what was finished is kept, "
            "the same command goes on from there"
        ) from None


def _make_in_pool(missing, root, jobs):
    todo = {
        a.id: a for a in sorted(missing, key=estimates.seconds, reverse=True)
    }  # the longest first: an even finish
    failed, running, begin = {}, {}, time.monotonic()
    with (
        ProcessPoolExecutor(
            jobs, mp_context=get_context("spawn"), initializer=start_worker
        ) as pool,
        tqdm(total=len(missing), unit="artefact", mininterval=1, disable=None) as bar,
    ):
        while todo or running:
            unfinished = {*todo, *(a.id for a in running.values())}
            ready = [a for a in todo.values() if not unfinished & {need.id for need in a.needs()}]
            for artefact in ready[: jobs - len(running)]:
                running[pool.submit(_make, artefact, root)] = todo.pop(artefact.id)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                artefact = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    raise future.exception()
                if future.exception() is not None:
                    failed |= _with_dependants(artefact, future.exception(), todo)
                    todo = {id_: a for id_, a in todo.items() if id_ not in failed}
                bar.update()
                done = len(missing) - len(todo) - len(running)
                tqdm.write(
                    f"[{done}/{len(missing)}] {artefact.id}: {'failed' if artefact.id in failed else 'done'}  "
                    f"({time.monotonic() - begin:.0f} s)",
                    file=sys.stdout,
                )
                sys.stdout.flush()
    return failed


def _with_dependants(artefact, error, todo):
    """{id: reason} of a failed artefact and of everything in `todo` that rests on it."""
    failed = {artefact.id: str(error) if isinstance(error, (BadInput, OSError)) else repr(error)}
    for other in with_needs(todo.values()):
        blocked = [need.id for need in other.needs() if need.id in failed]
        if blocked and other.id in todo:
            failed[other.id] = f"needs {blocked[0]}, which failed"
    return failed


def start_worker():
    """The initializer of a pool's processes: one torch thread, no memory handed back, and an end
    when the parent ends.
    """
    keep_freed()
    import torch

    torch.set_num_threads(1)
    if torch.cuda.is_available():  # at paper scale there is one process per GPU
        torch.cuda.set_device(
            (int(current_process().name.rsplit("-", 1)[1]) - 1) % torch.cuda.device_count()
        )
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C: end at once, what was saved is enough
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    """A worker whose parent was killed would wait for work for ever."""
    parent_process().join()
    os._exit(1)


def _make(artefact, root):
    from harmonica.lab.make import make

    line = int(
        current_process().name.rsplit("-", 1)[1]
    )  # each worker has a line of its own below the total
    make(
        artefact,
        Store(root),
        progress=lambda items: tqdm(
            items, desc=artefact.id, leave=False, position=line, mininterval=1, disable=None
        ),
    )
