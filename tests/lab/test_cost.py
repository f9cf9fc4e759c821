"""Fewer multiply-accumulates by the analytic amount, speedups against the right run, and how
latency is summarised.
"""

import pytest
import torch

from harmonica.backbones.counts import count
from harmonica.digits.manifest import manifest
from harmonica.lab import cost, latency
from harmonica.lab.makings import ModelSpec
from harmonica.lab.models import load_model
from harmonica.method import masks
from harmonica.method.schedule import Schedule
from harmonica.weights import catalogue


def test_a_reused_block_saves_exactly_its_own(tiny_dit):
    counts = count(tiny_dit(), torch.zeros(1, dtype=torch.long))
    full = masks.full(4, 4)
    for step, block in ((1, 0), (1, 1), (3, 2)):
        keep = full.clone()
        keep[step, block] = False
        assert cost.macs(counts, full) - cost.macs(counts, keep) == counts.blocks[block]


def test_the_summary_of_a_record(tiny_dit):
    counts = count(tiny_dit(), torch.zeros(1, dtype=torch.long))
    attention, feed_forward = counts.blocks[:2]
    fora = cost.summary(counts, Schedule(keep=masks.fora(4, 4)), 4, copies=2, element_bytes=4)
    whole = 2 * (counts.fixed * 4 + 4 * 2 * (attention + feed_forward))
    assert (
        fora["macs"] == whole - 2 * 2 * 2 * (attention + feed_forward) and fora["cur_percent"] == 50
    )
    assert fora["speedup_theoretical"] == pytest.approx(whole / fora["macs"])
    assert (
        fora["cache_elements_per_image"] == 2 * 4 * 16 * 32
    )  # both halves, 4 features of 16 tokens x width 32
    fewer = cost.summary(counts, Schedule(keep=masks.full(2, 4)), 4, copies=1, element_bytes=4)
    assert (fewer["speedup_theoretical"], fewer["cache_elements_per_image"]) == (2, 0)


def test_memory_counts_what_is_held_from_one_step_to_the_next(tiny_dit):
    keep = masks.full(5, 4)
    keep[1, 0] = keep[3, 1] = keep[3, 2] = False
    counts = count(tiny_dit(), torch.zeros(1, dtype=torch.long))
    schedule = Schedule(keep=keep)
    for width in (8, 2):
        summary = cost.summary(counts, schedule, 5, copies=1, element_bytes=width)
        assert (summary["cache_elements_per_image"], summary["cache_bytes_per_image"]) == (
            2 * 16 * 32,
            2 * 16 * 32 * width,
        )
    assert cost.live_elements(counts, schedule).tolist() == [0, 512, 0, 1024, 0]


def test_the_mac_fraction_by_name_is_that_of_the_model():
    for name, scale in (
        ("smoke-s0", "smoke"),
        ("dit-digits-s0", "digits"),
        ("pixart-digits-s0", "digits"),
        ("smoke-uvit-s0", "smoke"),
    ):
        loaded = load_model(ModelSpec(name=name, sha256=manifest()[name]["sha256"], scale=scale))
        keep = masks.random(5, loaded.backbone.num_blocks, 9, seed=0)
        counts = count(loaded.backbone, loaded.cond([0]))
        fraction = cost.macs(counts, keep) / cost.macs(counts, torch.ones_like(keep))
        known = cost.mac_fraction(name, keep)
        assert known is None and scale == "smoke" or known == pytest.approx(fraction)
    assert cost.mac_fraction("DiT-XL/2 256", masks.full(20, 56)) == 1
    assert (
        cost.mac_fraction("DiT-XL/2 256", masks.full(20, 54)) is None
        and cost.mac_fraction(None, keep) is None
    )
    assert cost.mac_fraction(catalogue.UVIT, masks.full(20, 58)) == 1
    half = cost.mac_fraction("DiT-XL/2 256", masks.fora(20, 56))
    assert half == pytest.approx(0.5, abs=2e-3)  # 0.2 % and less of a forward cannot be skipped


def test_the_mac_fraction_of_the_published_pixarts():
    """Per token: 4 width^2 of the projections of self-attention, 2 of cross-attention, 8 of the
    feed-forward; scores.
    """
    names = [name for name in catalogue.PUBLISHED if name.startswith("PixArt-alpha/")]
    for name in names:
        tokens, text, width = (
            catalogue.PUBLISHED[name].tokens,
            300 if "Sigma" in name else 120,
            1152,
        )
        without_cross = masks.full(20, 84)
        without_cross[1:, 1::3] = False
        share = (2 * width + 2 * text) / (14 * width + 2 * tokens + 2 * text)
        assert 1 - cost.mac_fraction(name, without_cross) == pytest.approx(0.95 * share, rel=0.02)
        assert (
            0.5 < cost.mac_fraction(name, masks.fora(20, 84)) < 0.52
        )  # the text's part is spent once
        assert cost.mac_fraction(name, masks.full(20, 84)) == 1
        assert cost.mac_fraction(name, masks.full(20, 56)) is None
    assert len(names) == 5


def test_functions_are_timed_in_turn_after_a_warm_up():
    calls = []
    seconds = latency.interleaved(
        {name: lambda name=name: calls.append(name) for name in "ab"}, repeats=3
    )
    assert calls == list("ab" * 4) and {name: len(s) for name, s in seconds.items()} == {
        "a": 3,
        "b": 3,
    }
    assert latency.quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == (3, [2, 4])
