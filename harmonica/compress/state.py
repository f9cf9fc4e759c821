"""Saves and restores the state from which an interrupted fine-tuning is resumed."""

import torch

from harmonica.files import load_state, save_state

MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW


def save(path, done, parameters, optimizer):
    """Save parameters and AdamW's moments. done: the progress so far, in the caller's unit."""
    tensors, updates = {}, 0.0
    for number, parameter in enumerate(parameters):
        if parameter not in optimizer.state:  # it never had a gradient, so it never changed
            continue
        updates = float(optimizer.state[parameter]["step"])
        entries = {"value": parameter, **{key: optimizer.state[parameter][key] for key in MOMENTS}}
        tensors |= {f"{key}.{number}": value for key, value in entries.items()}
    save_state(path, tensors, [done, updates])


@torch.no_grad()
def restore(path, parameters, optimizer):
    """Put a saved state back, in place -> its progress `done`; 0 where nothing was saved."""
    saved = load_state(path, "state of a compression")
    if saved is None:
        return 0
    tensors, (done, updates) = saved
    for number, parameter in enumerate(parameters):
        if f"value.{number}" not in tensors:
            continue
        parameter.copy_(tensors[f"value.{number}"])
        moments = {key: tensors[f"{key}.{number}"].to(parameter.device) for key in MOMENTS}
        optimizer.state[parameter] = {**moments, "step": torch.tensor(updates)}
    return done
