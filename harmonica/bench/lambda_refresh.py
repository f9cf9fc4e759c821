"""One measurement of the paper's lambda by soft scores: walks that fork off a common one, each at
its own step, against a whole walk from the first step on for every step (reference).
"""

import torch

from harmonica.bench import timing
from harmonica.method import iepo
from harmonica.method.train import initial_logits

TAU, REPEATS = 0.1, 7


def rows(bench, repeats=REPEATS):
    case, batch = bench.training_case()
    denoiser, x = case.denoiser(batch), case.noise(batch)
    scores = torch.sigmoid(initial_logits(case.num_steps, denoiser.backbone.num_blocks, 0)).to(
        x.device
    )

    def brute_force():
        for step in range(case.num_steps):
            masked = scores.clone()
            masked[step] = 1
            denoiser.walk(denoiser.begin(x), denoiser.soft(masked, TAU))

    forked = timing.waiting(lambda: iepo.leave_one_out(denoiser, x, scores, TAU))
    row = timing.compare(timing.waiting(brute_force), {"": forked}, repeats)[""]
    shape = {"model": case.name, "T": case.num_steps, "batch": batch}
    yield {**shape, **row, "time_share": 1 / row["ratio"]}, None
