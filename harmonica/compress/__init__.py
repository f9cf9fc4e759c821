"""Compressed models, which the paper compares caching with and combines it with.

transform.py compresses a loaded model (method/denoise.Loaded) into tensors, and makes of the loaded
model and these tensors a compressed model again. That has the interface of every backbone, so
schedules, plans and training run on it unchanged. quantise.py has the quantised layers, and selects
the scales that belong to the current step; adaround.py and efficientdm.py are two ways to round
weights; prune.py makes modules that are really smaller.
"""
