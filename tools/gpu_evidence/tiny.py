"""The tests' tiny random pipelines, on any device."""

import sys
from pathlib import Path

import torch
from torch.utils._pytree import tree_map

TESTS = Path(__file__).resolve().parents[2] / "tests"


def tiny(name, device):
    """-> a pipeline; call(), which returns its latents, always from the same noise; its steps."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from tiny_pipelines import PIPELINES, run

    pipe, inputs = PIPELINES[name][0]()
    inputs = tree_map(lambda value: value.to(device) if torch.is_tensor(value) else value, inputs)
    pipe = pipe.to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe, lambda: run(pipe, inputs), inputs["num_inference_steps"]
