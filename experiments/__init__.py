"""Experiments: each folder's config.py names the runs behind a table of the paper, as data.

Its `table(scale, rows, num_seeds)` gives rows (rows.py). Those that measure the cost of training
have no rows, but `costs(scale)`. No config imports torch.
"""
