"""Makes the missing artefacts on this machine: one process per core, one torch thread each, needs before dependants."""
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context

from tqdm import tqdm

from . import BadInput, expect
from .runs import with_needs
from .store import Store


def make_all(artefacts, root, jobs):
    """Make what is missing below `root` -> {id: reason} of what failed; what rests on a failed one fails with it."""
    store = Store(root)
    todo = {a.id: a for a in with_needs(artefacts) if store.record(a) is None}
    if not todo:
        return {}
    left = sum(map(expect.seconds, todo.values())) / min(jobs, len(todo))
    print(f"{len(todo)} artefacts to make, about {_duration(left)} with {jobs} processes; records go to {root}", flush=True)
    failed, running, total, begin = {}, {}, len(todo), time.monotonic()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start_worker,
                             max_tasks_per_child=None) as pool:
        bar = tqdm(total=total, unit="artefact", mininterval=1, disable=None)
        while todo or running:
            for id_, artefact in list(todo.items()):
                blocked = [n.id for n in artefact.needs() if n.id in failed]
                if blocked:
                    failed[id_] = f"needs {blocked[0]}, which failed"
                    del todo[id_]
                elif len(running) < jobs and all(store.record(n) for n in artefact.needs()):
                    running[pool.submit(_make, artefact, root)] = artefact
                    del todo[id_]
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                artefact = running.pop(future)
                error = future.exception()
                if error is not None:
                    failed[artefact.id] = str(error) if isinstance(error, (BadInput, OSError)) else repr(error)
                bar.update()
                line = f"[{total - len(todo) - len(running)}/{total}] {artefact.id}"
                tqdm.write(f"{line}: {failed.get(artefact.id, 'done')}  ({time.monotonic() - begin:.0f} s)", file=sys.stdout)
                sys.stdout.flush()
        bar.close()
    return failed


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _start_worker():
    import torch
    torch.set_num_threads(1)


def _make(artefact, root):
    from .make import make
    make(artefact, Store(root), progress=lambda items: tqdm(items, desc=artefact.id, leave=False, position=1,
                                                            mininterval=1, disable=None))
