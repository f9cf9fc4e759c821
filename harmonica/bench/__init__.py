"""The benchmark: one module for each table, whose rows(bench) yields the rows. `python -m
harmonica.bench` measures and writes them all. The modules' docstrings are the tables' titles.

All that a ratio compares is timed alternately in one process, after a warm-up. A time is the median
over the repeats, with the interquartile range. A ratio is the median of the ratios within a repeat,
so that a drift of the machine's speed cancels. Beside it is the ratio of the fastest repeats, which
other load on the machine affects least. Absolute times hold for this machine only; quote the
ratios.
"""

import os

# silences torch's profiler where there is no GPU; torch reads this when it is imported
os.environ.setdefault("KINETO_LOG_LEVEL", "5")
