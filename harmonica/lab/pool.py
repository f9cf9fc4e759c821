"""Makes the missing artefacts on this machine, several at a time, needs before dependants."""

import errno
import sys
import time
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from harmonica.errors import BadInput, sentence
from harmonica.lab import estimates
from harmonica.lab.ids import with_needs
from harmonica.lab.store import Store
from harmonica.lab.words import count, duration
from harmonica.lab.workers import number, submit, workers

FOR_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # then no artefact can be written
REPORT_S = 10.0


def make_all(artefacts, root, jobs):
    """Make the artefacts that are missing below `root` -> {id: reason} of those that failed; an
    artefact that needs a failed one fails too.
    """
    missing = Store(root).missing(artefacts)
    if not missing:
        return {}
    jobs = min(jobs, len(missing))
    remaining = duration(sum(map(estimates.seconds, missing)) / jobs)
    print(
        f"{count(len(missing), 'artefact')} to make, about {remaining} with "
        f"{count(jobs, 'process')}; records go to {root}",
        flush=True,
    )
    try:
        return _Making(missing, root, jobs).run()
    except BrokenProcessPool:
        raise BadInput(
            "process: one was killed (out of memory, perhaps; fewer JOBS need less); what was "
            "finished is kept, the same command goes on from there"
        ) from None


class _Making:
    """Starts artefacts when their needs are there, and notes which are at work and which failed."""

    def __init__(self, missing, root, jobs):
        self.root, self.jobs, self.total = root, jobs, len(missing)
        longest_first = sorted(missing, key=estimates.seconds, reverse=True)  # all end together
        self.todo = {artefact.id: artefact for artefact in longest_first}
        self.running, self.failed = {}, {}
        self.begin = time.monotonic()

    def run(self):
        """-> {id: reason} of what failed."""
        progress = tqdm(total=self.total, unit="artefact", mininterval=1, disable=None)
        with workers(self.jobs) as pool, progress as bar:
            while self.todo or self.running:
                self._start_ready(pool)
                seconds = REPORT_S if bar.disable else None  # no bar: a line now and then
                ended = wait(self.running, seconds, FIRST_COMPLETED).done
                for future in ended:
                    self._ended(future)
                    bar.update()
                if not ended:
                    self._say(f"at work: {', '.join(self.running.values())}")
        return self.failed

    def _start_ready(self, pool):
        unfinished = {*self.todo, *self.running.values()}
        ready = [a for a in self.todo.values() if not unfinished & {n.id for n in a.needs()}]
        for artefact in ready[: self.jobs - len(self.running)]:
            del self.todo[artefact.id]
            self.running[submit(pool, _make, artefact, self.root)] = artefact.id

    def _ended(self, future):
        id_, error = self.running.pop(future), future.exception()
        if isinstance(error, BrokenProcessPool) or getattr(error, "errno", None) in FOR_ALL:
            raise error
        if error is not None:
            self._fail(id_, sentence(error) or repr(error))
        self._say(f"{id_}: {'done' if error is None else 'failed'}")

    def _fail(self, id_, reason):
        """Note as failed an artefact and everything that needs it."""
        self.failed[id_] = reason
        for dependant in with_needs(self.todo.values()):
            failed_needs = [need.id for need in dependant.needs() if need.id in self.failed]
            if failed_needs and dependant.id in self.todo:
                del self.todo[dependant.id]
                self.failed[dependant.id] = f"needs {failed_needs[0]}, which failed"

    def _say(self, text):
        num_done = self.total - len(self.todo) - len(self.running)
        seconds = time.monotonic() - self.begin
        tqdm.write(f"[{num_done}/{self.total}] {text}  ({seconds:.0f} s)", file=sys.stdout)
        sys.stdout.flush()


def _make(artefact, root):
    from harmonica.lab.make import make

    def progress(items):  # each worker has a line of its own below the total
        return tqdm(
            items, desc=artefact.id, leave=False, position=number(), mininterval=1, disable=None
        )

    make(artefact, Store(root), progress)
