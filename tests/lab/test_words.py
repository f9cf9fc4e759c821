"""Times, sizes and counts are said as a person would."""

import pytest

from harmonica.lab.words import count, duration, size


@pytest.mark.parametrize(
    "seconds, said",
    [(0.2, "1 s"), (45, "45 s"), (89, "89 s"), (90, "1.5 minutes"), (1500, "25 minutes")]
    + [(3600, "60 minutes"), (12_600, "3.5 hours"), (7200, "2 hours"), (1e6, "12 days")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    "num_bytes, said",
    [(0, "0 bytes"), (999, "999 bytes"), (81_920, "82 kB"), (5_300_000, "5.3 MB")]
    + [(12_000_000_000, "12 GB"), (3.21e12, "3.2 TB")],
)
def test_sizes(num_bytes, said):
    assert size(num_bytes) == said


def test_counts():
    assert (count(1, "artefact"), count(0, "artefact"), count(2, "process")) == (
        "1 artefact",
        "0 artefacts",
        "2 processes",
    )
