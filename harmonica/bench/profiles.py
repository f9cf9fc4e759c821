"""Profiles a step: how many operations or kernels it launches, and the share of its time outside
attention and feed-forward.
"""

from contextlib import contextmanager, nullcontext

import torch
from torch.profiler import ProfilerActivity, record_function
from torch.profiler import profile as torch_profile

INSIDE = "harmonica: attention or feed-forward"


def profile(function, steps, backbone):
    """Run function (`steps` calls of the model) under torch.profiler -> {"launched_per_step",
    "share_outside"}.

    Launched are CUDA kernels, or on a CPU operations that call no others. share_outside: the share
    of the device's working time that is not spent in attention and feed-forward. backbone: None for
    a function in which these do not run as modules (captured); share_outside is None,
    too.
    """
    on_cpu, on_gpu = torch.autograd.DeviceType.CPU, torch.autograd.DeviceType.CUDA
    cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    function()
    with (
        _labelled(backbone) if backbone else nullcontext(),
        torch_profile(activities=activities) as profiler,
    ):
        with record_function("harmonica: all"):
            function()
    events = profiler.events()
    if cuda:
        kernels = [
            e for e in events if e.device_type == on_gpu and not e.name.startswith("harmonica: ")
        ]
        launched, total = len(kernels), sum(e.device_time_total for e in kernels)
        inside = sum(
            e.device_time_total for e in events if e.name == INSIDE and e.device_type == on_cpu
        )
    else:
        launched = sum(e.name.startswith("aten::") and not e.cpu_children for e in events)
        total, inside = (
            sum(e.cpu_time_total for e in events if e.name == name)
            for name in ("harmonica: all", INSIDE)
        )
    return {
        "launched_per_step": round(launched / steps),
        "share_outside": 1 - inside / total if inside else None,
    }


@contextmanager
def _labelled(backbone):
    """Within the `with` block, each attention (from its queries to its output's dropout) and each
    feed-forward is recorded as a range of the name INSIDE.
    """
    blocks = backbone.model.transformer_blocks
    attentions = [
        attn for block in blocks for attn in (block.attn1, block.attn2) if attn is not None
    ]
    ranges, hooks = [], []
    for first, last in [(attn.to_q, attn.to_out[1]) for attn in attentions] + [
        (block.ff, block.ff) for block in blocks
    ]:
        hooks.append(
            first.register_forward_pre_hook(
                lambda *_: ranges.append(record_function(INSIDE).__enter__())
            )
        )
        hooks.append(last.register_forward_hook(lambda *_: ranges.pop().__exit__(None, None, None)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
