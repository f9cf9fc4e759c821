"""EfficientDM (He et al., 2024): quantised weights are fine-tuned by a low-rank update, without
images.

W_q = Q(W + B A), with B = 0 at the start. Weight scales, and the inputs' scales and zero points of
each step, are learned, too. The teacher walks, and the quantised model gets the same x at each
step: the next x comes from the teacher. Afterwards B A is contained in the codes; it is neither
stored nor computed when the model is used.
"""

from copy import copy, deepcopy

import torch
from torch import nn
from torch.func import functional_call

from harmonica.compress.observe import walk
from harmonica.compress.quantise import AtStep, Place, is_inner
from harmonica.compress.rounding import Range, Rounded, codes, trainable
from harmonica.method.cache import compute_all
from harmonica.method.resume import restore_training, save_training

LEAST_SCALE = 1e-8
SAVE_EVERY = 10  # trajectories


class Tuned(nn.Module):
    """A layer whose rounding is learned. rank: that of the low-rank update, None for no update."""

    def __init__(self, layer, rounded, rank, place):
        super().__init__()
        self.layer, self.place = layer, place
        self.bits, self.input_bits = rounded.range.bits, rounded.inputs.bits
        self.scale = nn.Parameter(rounded.range.scale.clone())
        self.register_buffer("zero", rounded.range.zero.float())
        self.input_scale = nn.Parameter(rounded.inputs.scale.clone())
        self.input_zero = nn.Parameter(rounded.inputs.zero.float())
        self.down = self.up = None
        if rank:
            rows, columns = layer.weight.flatten(1).shape
            self.down = nn.Parameter(torch.empty(rank, columns))
            nn.init.kaiming_uniform_(self.down, a=5**0.5)
            self.up = nn.Parameter(torch.zeros(rows, rank))

    def updated(self):
        """W + B A, (R, n)"""
        rows = self.layer.weight.flatten(1)
        return rows if self.up is None else rows + self.up @ self.down

    def forward(self, x):
        row = self.place.row
        scale = self.scale[:, None].clamp(min=LEAST_SCALE)
        input_range = self.input_scale[row].clamp(min=LEAST_SCALE), self.input_zero[row]
        weight = trainable(self.updated(), scale, self.zero[:, None], 2**self.bits - 1)
        x = trainable(x, *input_range, 2**self.input_bits - 1)
        return functional_call(self.layer, {"weight": weight.view(self.layer.weight.shape)}, (x,))

    @torch.no_grad()
    def rounded(self):
        """The learned weight and input range -> Rounded."""
        range_ = _range(self.scale, self.zero, self.bits)
        inputs = _range(self.input_scale, self.input_zero, self.input_bits)
        return Rounded(codes(self.updated(), range_).view(self.layer.weight.shape), range_, inputs)


def _range(scale, zero, bits):
    zero = zero.detach().round().clamp(0, 2**bits - 1).to(torch.int32)
    return Range(scale.detach().clamp(min=LEAST_SCALE).clone(), zero, bits)


def learn(loaded, nearest_of, settings, state_path, progress=iter):
    """Tune the layers from `nearest_of` ({name: Rounded}) on -> {name: Rounded}. Layers whose
    inputs are not rounded keep their codes. Resumes from `state_path` where it exists.
    """
    rounding = settings.rounding
    timesteps = walk(loaded, settings, 0, 1)[0].timesteps
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(settings.seed)
        backbone, tuned = _quantised(loaded, nearest_of, rounding.rank, timesteps)
    optimizer = _optimizer(tuned, rounding)
    parameters = [p for module in tuned.values() for p in module.parameters() if p.requires_grad]
    first = restore_training(state_path, parameters, optimizer) or 0
    for trajectory in progress(range(first, rounding.trajectories)):
        teacher, x = walk(loaded, settings, 1 + trajectory, rounding.batch)
        teacher.walk(
            teacher.begin(x), _updating(teacher, backbone, optimizer, trajectory, rounding)
        )
        if (trajectory + 1) % SAVE_EVERY == 0:
            save_training(state_path, trajectory + 1, parameters, optimizer)
    return nearest_of | {name: module.rounded() for name, module in tuned.items()}


def _quantised(loaded, nearest_of, rank, timesteps):
    """-> a copy of the backbone with Tuned layers, and these layers by name."""
    backbone = deepcopy(loaded.backbone)
    place = Place(timesteps)
    tuned = {}
    backbone.model.requires_grad_(False)
    for name, rounded in nearest_of.items():
        layer = backbone.model.get_submodule(name)
        if rounded.inputs is None:
            layer.weight.copy_(rounded.weight())
        else:
            tuned[name] = Tuned(layer, rounded, rank if is_inner(name) else None, place)
            tuned[name].to(layer.weight.device)
            backbone.model.set_submodule(name, tuned[name])
    return AtStep(backbone, place), tuned


def _optimizer(tuned, rounding):
    """AdamW with the rates that the settings name, layer by layer."""
    groups = []
    for module in tuned.values():
        if module.up is not None:
            rate = rounding.factor_rate * float(module.scale.detach().mean())
            groups.append({"params": [module.down, module.up], "lr": rate})
        groups.append({"params": [module.scale], "lr": rounding.scale_rate})
        of_inputs = [module.input_scale, module.input_zero]
        groups.append({"params": of_inputs, "lr": rounding.input_rate})
    optimizer = torch.optim.AdamW(groups)
    for group in optimizer.param_groups:
        group["first_lr"] = group["lr"]
    return optimizer


def _updating(teacher, backbone, optimizer, trajectory, rounding):
    """The forward of one training step. It updates the quantised model once and returns the output
    of the teacher.
    """
    student = copy(teacher)
    channels = teacher.backbone.in_channels
    student.backbone = backbone
    steps = len(teacher.timesteps)

    def learn(step, x, cache):
        with torch.no_grad():
            target = teacher.run(step, x, compute_all)
        done = (trajectory * steps + step) / (rounding.trajectories * steps)
        for group in optimizer.param_groups:
            group["lr"] = group["first_lr"] * (1 - done)
        out = student.run(step, x, compute_all)
        loss = (out[:, :channels] - target[:, :channels]).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return target, cache

    return learn
