"""Times, sizes and counts as a person would say them. Imports no torch."""


def duration(seconds):
    """In about two digits: 40 s, 25 minutes, 3.5 hours, 12 days."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"{_short(seconds / length)} {unit}"
    return f"{max(1, round(seconds))} s"


def size(num_bytes):
    """In powers of ten, as disks are sold: 82 kB, 5.3 MB, 120 GB."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= length:
            return f"{_short(num_bytes / length)} {unit}"
    return f"{round(num_bytes)} bytes"


def count(number, noun):
    """1 artefact, 36 artefacts, 2 processes."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"


def _short(value):
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"
