"""The table of other packages' caches: each is given the setting nearest to the share, its own
context and no earlier state, and the schedule beside it computes no more.
"""

from dataclasses import replace

import pytest

from harmonica.bench import caches, peers

STEPS = 5


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(peers, "MODEL", "smoke-pixart-s0")
    monkeypatch.setattr(peers, "IMAGES", 2)
    monkeypatch.setattr(peers, "SEARCHED", 1)
    monkeypatch.setattr(peers, "REPEATS", 2)
    monkeypatch.setattr(caches, "THRESHOLDS", (0.5,))
    monkeypatch.setattr(peers, "CALLS", ((STEPS, 2.0),))


def test_every_cache_is_compared_at_no_fewer_units(small, monkeypatch):
    monkeypatch.setattr(caches, "find_spec", lambda name: None)
    few = [replace(cache, settings=cache.settings[:1]) for cache in caches.caches()]
    monkeypatch.setattr(peers, "caches", lambda: few)
    found = [row for row, _ in peers.rows(None)]
    assert found and "PyramidAttentionBroadcast 2" in [row["cache"] for row in found]
    for row in found:
        assert 0 < row["our_computed_percent"] <= row["computed_percent"] + 1e-6 < 100
        assert row["error"] > 0 and row["our_error"] > 0
        assert row["ratio"] > 0 and row["speedup"] > 0
