"""`python -m harmonica.bench`: what the skipping, the lean update and the shared prefixes bring, as ratios in one process.

Writes results/bench/<device>.json and .md. Every figure is a median with its interquartile range over interleaved
repeats, one thread, nothing else running. Absolute times are this machine's; the ratios are what to quote.
"""
import re
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from . import check, command, cost, iepo, samplers, schedules, seeds
from .backbones import run_all
from .backbones.dit import DiT
from .command import Parser
from .denoise import Denoiser
from .digits.manifest import manifest
from .models import load_model
from .provenance import device_name, provenance
from .runs import ModelSpec
from .sdt import update_by
from .store import atomic, write_json
from .training import Learner, initial_logits

NUM_STEPS, TAU = 20, 0.1


def main(argv=None):
    parser = Parser(prog="python -m harmonica.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="dit-digits-s0", help="a digits base model")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    return command.run(lambda argv: bench(parser.parse_args(argv)), argv)


def bench(arguments):
    """All sections, printed as they are measured, and written to arguments.out."""
    check(arguments.model in manifest(), "model", arguments.model, f"choose one of {', '.join(manifest())}")
    check(arguments.repeats >= 2, "repeats", arguments.repeats, "it must be at least 2")
    torch.set_num_threads(1)
    loaded = load_model(ModelSpec(name=arguments.model, sha256=manifest()[arguments.model]["sha256"], scale="digits"))
    rows = []
    for section in (forward, cached_sampling, sdt_update, lambda_refresh):
        for row in section(loaded, arguments.repeats):
            rows.append({"section": section.__name__, **row})
            print("  ".join(f"{key} {_text(value)}" for key, value in rows[-1].items()), flush=True)
    name = re.sub(r"[^a-z0-9]+", "-", device_name().lower()).strip("-")
    write_json(arguments.out / f"{name}.json", {"model": arguments.model, "T": NUM_STEPS, "repeats": arguments.repeats,
                                                "rows": rows, "provenance": provenance()})
    with atomic(arguments.out / f"{name}.md") as temporary:
        temporary.write_text(_markdown(rows, arguments))
    print(f"wrote {arguments.out / name}.json and .md")


def forward(loaded, repeats):
    """Uncached forward: this package's loop against the diffusers model's own forward, same numerics."""
    model = loaded.backbone.model
    backbone = DiT(model, "diffusers")
    for batch in (1, 16, 128):
        x, t, y = _noise(loaded, batch), torch.full((batch,), 500), loaded.cond(range(batch))

        def theirs():
            with torch.no_grad():
                model(x, timestep=t, class_labels=y)

        def ours():
            with torch.no_grad():
                run_all(backbone, x, t, y)
        yield {"batch": batch, **_compare({"theirs": _times(theirs, 10), "ours": _times(ours, 10)}, repeats)}


def cached_sampling(loaded, repeats):
    """Whole sampling, uncached against cached by random masks and FORA; achieved = measured / theoretical speedup."""
    blocks = len(loaded.backbone.blocks)
    masks = {f"random CUR {cur:g} %": schedules.random(NUM_STEPS, blocks, schedules.budget(cur, NUM_STEPS, blocks), 0)
             for cur in (25, 37.5, 50)}
    masks["FORA 2"] = schedules.fora(NUM_STEPS, blocks)
    for batch in (1, 16, 128):
        denoiser, x = _denoiser(loaded, batch), _noise(loaded, batch)
        for name, keep in masks.items():
            row = _compare({"theirs": _walk(denoiser, x, schedules.full(NUM_STEPS, blocks)), "ours": _walk(denoiser, x, keep)},
                           repeats)
            theoretical = cost.summary(loaded.backbone, keep, NUM_STEPS)["speedup_theoretical"]
            yield {"batch": batch, "schedule": name, **row, "theoretical": theoretical,
                   "achieved": row["ratio"] / theoretical}


def sdt_update(loaded, repeats):
    """One SDT update at batch 16: lean, against the released way (weights with gradients, teacher with a graph)."""
    denoiser, x = _denoiser(loaded, 16), _noise(loaded, 16)
    with torch.no_grad():
        point = denoiser.advance(denoiser.begin(x), denoiser.computed)
    learner = Learner(initial_logits(NUM_STEPS, len(denoiser.blocks), 0), tau=TAU, lr=0.01)
    row = torch.nn.Parameter(learner.rows[1].detach().clone())

    def lean():
        return denoiser.advance(point, update_by(denoiser, learner))

    def released():
        for parameter in loaded.backbone.parameters():
            parameter.requires_grad_(True)
        try:
            denoiser.advance(point, _released_update(denoiser, row))
        finally:
            for parameter in loaded.backbone.parameters():
                parameter.requires_grad_(False)
                parameter.grad = None
    yield {"batch": 16, **_compare({"theirs": released, "ours": lean}, repeats),
           "activation_ratio": _saved_bytes(lean) / _saved_bytes(released)}


def _released_update(denoiser, row):
    def forward(step, x, t, cache):
        teacher, _ = denoiser.computed(step, x, t, cache)
        scores = torch.sigmoid(row).expand(NUM_STEPS, -1)
        student, cache = denoiser.soft(scores, TAU)(step, x, t, cache)
        (F.mse_loss(student, teacher) + 1e-4 * scores[step].sum()).backward()
        return student.detach(), cache
    return forward


def lambda_refresh(loaded, repeats):
    """The paper's lambda at batch 16, soft scores: forked suffixes against a walk from the start for every step."""
    denoiser, x = _denoiser(loaded, 16), _noise(loaded, 16)
    scores = torch.sigmoid(initial_logits(NUM_STEPS, len(denoiser.blocks), 0))

    def brute_force():
        with torch.no_grad():
            for step in range(NUM_STEPS):
                masked = scores.clone()
                masked[step] = 1
                denoiser.walk(denoiser.begin(x), denoiser.soft(masked, TAU))
    yield {"batch": 16, **_compare({"theirs": brute_force, "ours": lambda: iepo.leave_one_out(denoiser, x, scores, TAU)},
                                   min(repeats, 5))}


def _noise(loaded, batch):
    return seeds.normal(seeds.generators(seeds.EVALUATION, 0, indices=range(batch)), loaded.shape)


def _denoiser(loaded, batch):
    sampler = samplers.load("ddim")
    return Denoiser(loaded.backbone, sampler, sampler.timesteps(NUM_STEPS), loaded.cond(range(batch)))


def _walk(denoiser, x, keep):
    def walk():
        with torch.no_grad():
            denoiser.walk(denoiser.begin(x), denoiser.hard(keep))
    return walk


def _times(function, count):
    return lambda: [function() for _ in range(count)]


def _compare(functions, repeats):
    """Interleave "theirs" and "ours" -> milliseconds of both and the median ratio theirs / ours with its quartiles."""
    seconds = cost.interleaved(functions, repeats)
    ratio, ratio_iqr = cost.quartiles([t / o for t, o in zip(seconds["theirs"], seconds["ours"])])
    return {f"{name}_ms": 1000 * cost.quartiles(seconds[name])[0] for name in seconds} | {"ratio": ratio, "ratio_iqr": ratio_iqr}


def _saved_bytes(function):
    """Bytes that autograd keeps for backward, weights left out; each storage once."""
    kept = {}

    def pack(tensor):
        if not isinstance(tensor, torch.nn.Parameter) and not (tensor._is_view() and isinstance(tensor._base, torch.nn.Parameter)):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(kept.values())


def _text(value):
    if isinstance(value, list):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _markdown(rows, arguments):
    lines = [f"# Benchmark on {device_name()}", "", f"One thread, float32, {arguments.model}, T = {NUM_STEPS}, "
             f"{arguments.repeats} interleaved repeats. ratio = theirs / ours (> 1: ours is faster).", ""]
    for section in dict.fromkeys(row["section"] for row in rows):
        own = [{key: value for key, value in row.items() if key != "section"} for row in rows if row["section"] == section]
        lines += [f"## {section.replace('_', ' ')}", "", globals()[section].__doc__.strip(), "",
                  "| " + " | ".join(own[0]) + " |", "|" + " --- |" * len(own[0])]
        lines += ["| " + " | ".join(_text(value) for value in row.values()) + " |" for row in own] + [""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
