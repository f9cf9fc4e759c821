"""One SDT update: lean, against the released way (reference): weights with gradients, teacher with a graph."""
import torch
import torch.nn.functional as F

from ..plan import compiled
from ..sdt import pair, update_by
from ..training import Learner, initial_logits
from ..training_cost import peak_bytes, saved_tensors
from . import cases

TAU = 0.1


def rows(setting):
    case, batch = setting.training_case()
    denoiser = case.denoiser(batch)
    with torch.no_grad():
        point = denoiser.advance(denoiser.begin(case.noise(batch)), denoiser.computed)
    logits = initial_logits(case.num_steps, len(denoiser.blocks), 0).to(point.x.device)
    learner = Learner(logits, tau=TAU, lr=0.01)
    reference = _synchronized(lambda: _released(denoiser, point, learner.rows[1].detach().clone().requires_grad_()))
    ways = {"lean": pair(case.backbone), "lean, checkpointed": pair(case.backbone, checkpointed=True)}
    if "compile" in setting.backends:
        ways["lean, compiled"] = compiled(pair(case.backbone))
    own = {name: _synchronized(lambda run=run: denoiser.advance(point, update_by(denoiser, learner, run)))
           for name, run in ways.items()}
    memory = peak_bytes if setting.cuda else saved_bytes
    whole = memory(reference)
    for name, row in cases.compare(reference, own, case.repeats).items():
        bytes_ = memory(own[name])
        yield ({"model": case.name, "batch": len(point.x), "way": name, **row, "time_share": 1 / row["ratio"],
                "memory_share": bytes_ / whole, "reference_bytes": whole, "bytes": bytes_},
               (own[name], 1, case.backbone) if name == "lean" else None)


def _released(denoiser, point, row):
    for parameter in denoiser.backbone.parameters():
        parameter.requires_grad_(True)
    try:
        denoiser.advance(point, _released_update(denoiser, row))
    finally:
        for parameter in denoiser.backbone.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None


def _released_update(denoiser, row):
    def forward(step, x, t, cache):
        teacher, _ = denoiser.computed(step, x, t, cache)
        scores = torch.sigmoid(row).expand(len(denoiser.timesteps), -1)
        student, cache = denoiser.soft(scores, TAU)(step, x, t, cache)
        (F.mse_loss(student, teacher) + 1e-4 * scores[step].sum()).backward()
        return student.detach(), cache
    return forward


def _synchronized(function):
    def run():
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return run


def saved_bytes(function):
    """Bytes that autograd keeps for backward."""
    kept = {}
    with saved_tensors(kept):
        function()
    return sum(kept.values())
