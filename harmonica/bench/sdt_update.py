"""One update of a router's row by SDT: with frozen weights and a teacher without a graph (lean),
against the released way (reference), in which weights have gradients and the teacher has a graph.
Also with activations computed again in the backward pass; on a GPU also with compiled units.
"""

from copy import deepcopy
from dataclasses import replace

import torch
import torch.nn.functional as F

from harmonica.bench import timing
from harmonica.fast.training import compiles_on, fast_pair
from harmonica.lab.memory import peak_bytes, saved_bytes
from harmonica.method.learner import Learner
from harmonica.method.router import CLAMP
from harmonica.method.sdt import update_by
from harmonica.method.train import initial_logits

TAU, LR = 0.1, 0.01


def rows(bench):
    case, batch = bench.training_case()
    denoiser = case.denoiser(batch)
    with torch.no_grad():
        point = denoiser.advance(denoiser.begin(case.noise(batch)), denoiser.computed)
    logits = initial_logits(case.num_steps, denoiser.backbone.num_blocks, 0).to(point.x.device)
    learner = Learner(logits, tau=TAU, lr=LR)
    reference = timing.synchronized(_released(case, batch, point, logits))
    ways = {
        "lean": fast_pair(case.backbone),
        "lean, checkpointed": fast_pair(case.backbone, recompute=True),
    }
    if compiles_on(point.x.device):
        ways["lean, compiled"] = fast_pair(case.backbone, compile=True)
    functions = {
        name: timing.synchronized(
            lambda pair=pair: denoiser.advance(point, update_by(denoiser, learner, pair))
        )
        for name, pair in ways.items()
    }
    memory = peak_bytes if bench.cuda else saved_bytes
    reference_bytes = memory(reference)
    for name, row in timing.compare(reference, functions, case.repeats).items():
        bytes_ = memory(functions[name])
        yield (
            {
                "model": case.name,
                "batch": len(point.x),
                "way": name,
                **row,
                "time_share": 1 / row["ratio"],
                "memory_share": bytes_ / reference_bytes,
                "reference_bytes": reference_bytes,
                "bytes": bytes_,
            },
            (functions[name], 1, case.backbone) if name == "lean" else None,
        )


def _released(case, batch, point, logits):
    """-> a function that makes one update as the released code does: the model's weights get
    gradients, and teacher and student share nothing.
    """
    backbone = deepcopy(case.backbone)
    for parameter in backbone.parameters():
        parameter.requires_grad_(True)
    denoiser = replace(case, backbone=backbone).denoiser(batch)
    cond = case.cond(batch)
    cond = cond if case.guidance == 1 else backbone.with_null(cond)
    rows = [torch.nn.Parameter(row.clone()) for row in logits]
    optimizer = torch.optim.AdamW(rows[1:], lr=LR, weight_decay=0)

    def forward(step, x, cache):
        teacher, _ = denoiser.computed(step, x, cache)
        scores = torch.sigmoid(rows[step])
        student, cache = denoiser.soft(scores.expand(len(rows), -1), TAU)(step, x, cache)
        (F.mse_loss(student, teacher) + 1e-4 * scores.sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for row in rows:
                row.clamp_(-CLAMP, CLAMP)
        return student.detach(), cache

    def update():
        denoiser.ctx = backbone.prepare(cond)
        denoiser.advance(point, forward)
        for parameter in backbone.parameters():
            parameter.grad = None

    return update
