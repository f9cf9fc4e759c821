"""The paper: what a cached step is, how a router is trained (SDT, IEPO), and the baseline
Learning-to-Cache.

Read `cache`, `sdt`, `iepo` and `ltc` first; the other modules support these four.
"""
