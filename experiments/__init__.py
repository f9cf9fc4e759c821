"""Experiments: each folder's config.py names the runs behind a table of the paper, as data.

Its `table(scale, rows, num_seeds)` gives rows (rows.py); only that of the training's cost has
`costs(scale)` instead. No config imports torch.
"""
