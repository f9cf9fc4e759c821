"""The benchmark: one module per table, each a generator of rows; `python -m harmonica.bench` runs
and writes them.

Everything that a ratio compares is timed in turn in one process after a warm-up. A time is a
median, with its interquartile range over the repeats; a ratio is the median of the ratios within
one repeat, so that a drift of the machine's speed cancels. Beside it stands the ratio of the
fastest repeats, which other load touches least. Absolute times are this machine's; the ratios are
what to quote.
"""

import os

os.environ.setdefault(
    "KINETO_LOG_LEVEL", "5"
)  # torch's profiler speaks of a missing GPU; read when torch is imported
