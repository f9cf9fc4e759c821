"""Decides what this machine measures: which cases, at which batch sizes, on which backends."""

from functools import cached_property, partial

import torch

from harmonica.bench import cases
from harmonica.digits.manifest import manifest
from harmonica.errors import check
from harmonica.fast.plan import BACKENDS, compile_schedule
from harmonica.lab.makings import ModelSpec
from harmonica.lab.models import load_model


class Bench:
    """What this machine measures. model: a digits base model. backends: None for all that the
    device has. compiled: the batch sizes at which diffusers' own compiled model is timed, too (on a
    GPU).
    """

    compiled = (1, 8)

    def __init__(self, model, repeats, backends=None):
        names = [name for name in manifest() if "pixart" not in name]
        check(model in names, "model", model, f"choose one of {', '.join(names)}")
        self.model, self.repeats, self.cuda = model, repeats, torch.cuda.is_available()
        check(
            self.cuda or "cudagraph" not in (backends or ()),
            "backends",
            "cudagraph",
            "CUDA graphs need a CUDA device",
        )
        self.backends = backends or [
            backend for backend in BACKENDS if self.cuda or backend != "cudagraph"
        ]

    @cached_property
    def digits(self):
        loaded = load_model(
            ModelSpec(name=self.model, sha256=manifest()[self.model]["sha256"], scale="digits")
        )
        name, model = f"digits ({self.model})", loaded.backbone.model
        return cases.of_dit(name, model, num_steps=20, repeats=self.repeats)

    def forward_cases(self):
        """-> pairs (case, batch sizes). On a GPU, where models are large, they are made lazily."""
        if not self.cuda:
            return [(self.digits, (1, 16, 128)), (cases.dit_s2(), (1, 8))]
        makers = [partial(cases.dit_xl2, side) for side in (32, 64)]
        makers += [partial(cases.pixart, side) for side in (64, 128)]
        return ((make(), (1, 8)) for make in makers)

    def sampling_cases(self):
        """-> pairs (case, batch sizes), on a GPU made lazily."""
        if not self.cuda:
            return [(self.digits, (1, 8, 16, 32)), (cases.dit_s2(), (1, 16))]
        return ((make(), (1, 8, 32)) for make in (cases.dit_xl2, partial(cases.pixart, 64)))

    def training_case(self):
        """-> case, batch size before guidance."""
        return (cases.dit_xl2(), 32) if self.cuda else (self.digits, 16)

    def plans(self, backbone, schedule):
        """{backend: Plan} of a schedule."""
        return {backend: compile_schedule(backbone, schedule, backend) for backend in self.backends}
