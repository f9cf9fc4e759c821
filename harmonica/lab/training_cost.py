"""What training a router takes, method by method (the paper's table of training cost): time,
memory, training images.

Whole trajectories of all methods are timed in turn, in one process, so that a drift of the
machine's speed hits all alike. Nothing is compiled, on a GPU either, as not every method's walk can
be.
"""

import torch

from harmonica.fast.training import fast_pair
from harmonica.lab.latency import interleaved, quartiles, synchronized
from harmonica.lab.memory import live_peak, peak_bytes, saved_tensors
from harmonica.lab.models import load_model
from harmonica.method.learner import Learner
from harmonica.method.precision import float32_products
from harmonica.method.train import Work, initial_logits


def measure(spec, progress=iter):
    """Time a TrainingCostSpec -> {router id: its row, as docs/records.md explains it}."""
    with float32_products("ieee"):
        measured = {
            router.id: Measured(router, spec.whole_memory) for _, router in progress(spec.rows)
        }
        walks = {id_: synchronized(timed.walk) for id_, timed in measured.items()}
        walks = interleaved(walks, spec.repeats)
        weighted = {id_: timed for id_, timed in measured.items() if timed.refreshes}
        lambdas = {id_: synchronized(timed.refresh) for id_, timed in weighted.items()}
        lambdas = interleaved(lambdas, spec.repeats)
    return {id_: timed.row(walks[id_], lambdas.get(id_)) for id_, timed in measured.items()}


class Measured:
    """A router's training whose first trajectory can be walked again and again, to be timed."""

    def __init__(self, router, whole_memory=False):
        self.whole_memory = whole_memory
        loaded = load_model(router.model)
        self.config, steps = router.training, router.num_steps
        logits = initial_logits(steps, loaded.backbone.num_blocks, self.config.seed).to(
            loaded.device
        )
        pair = fast_pair(loaded.backbone, self.config.checkpoint)
        self.work = Work(loaded, router, pair)
        self.peak = None
        self.learner = Watched(
            logits, tau=self.config.tau, lr=self.config.lr, adam_eps=self.config.adam_eps
        )
        rows = len(self.work.ltc_steps()) if self.config.walk == "ltc" else steps - 1
        self.updates = self.config.trajectories * rows
        self.refreshes = 0
        if self.config.objective != "mse":
            self.refreshes = -(-self.config.trajectories // self.config.refresh)

    def walk(self):
        """Walk one trajectory. The first call, a warm-up, also measures memory, which slows it."""
        if self.peak is None:
            return self._walk_watched()
        self.work.walk(self.learner, 0)

    def refresh(self):
        self.work.lambda_(self.learner.logits(), 0)

    def _walk_watched(self):
        if torch.cuda.is_available():
            self.peak = peak_bytes(lambda: self.work.walk(self.learner, 0))
        elif self.whole_memory:
            self.peak = live_peak(lambda: self.work.walk(self.learner, 0))
        else:
            with saved_tensors(self.learner.kept):
                self.work.walk(self.learner, 0)
            self.peak = self.learner.peak

    def row(self, walks, lambdas):
        seconds, iqr = quartiles(walks)
        lambda_seconds = quartiles(lambdas)[0] if lambdas else None
        total = self.config.trajectories * seconds + self.refreshes * (lambda_seconds or 0)
        return {
            "seconds_per_trajectory": seconds,
            "seconds_iqr": iqr,
            "lambda_seconds": lambda_seconds,
            "seconds_total": total,
            "memory_bytes": self.peak,
            "images": self.updates * self.config.batch if self.config.walk == "ltc" else 0,
            "updates": self.updates,
        }


class Watched(Learner):
    """A Learner that notes the peak of the bytes that autograd keeps for an update. Weights are
    left out, and each storage counts once.
    """

    def __init__(self, logits, **settings):
        super().__init__(logits, **settings)
        self.kept, self.peak = {}, 0

    def update(self, step, r, data_loss):
        self.peak = max(self.peak, sum(self.kept.values()))
        self.kept.clear()
        super().update(step, r, data_loss)
