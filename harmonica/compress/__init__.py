"""Compressed models, which the paper compares caching with and combines it with.

A transformation takes a loaded model (method/model.Loaded) and gives tensors; `restore` makes of
the loaded model and these tensors a model that offers what every backbone offers, so schedules,
plans and training run over it unchanged. quantise.py has quantised layers and how they follow the
walk's step, adaround.py and efficientdm.py say how weights are rounded, prune.py makes real
smaller modules.
"""
