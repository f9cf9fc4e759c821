"""The paper: cached steps, training a router (SDT, IEPO), and the baseline Learning-to-Cache.

Read `cache`, `sdt`, `iepo` and `ltc` first; the other modules support these four.
"""
