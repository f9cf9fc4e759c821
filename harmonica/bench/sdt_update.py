"""One SDT update: lean, against the released way (reference): weights with gradients, teacher with a graph."""
import torch
import torch.nn.functional as F

from ..sdt import pair, update_by
from ..training import Learner, initial_logits
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


def peak_bytes(function):
    """On the GPU, above what was allocated before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return torch.cuda.max_memory_allocated() - before


def saved_bytes(function):
    """Bytes that autograd keeps for backward, weights left out; each storage once."""
    kept = {}

    def pack(tensor):
        owner = tensor._base if tensor._is_view() else tensor
        if not isinstance(owner, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(kept.values())
