"""Keep masks: bool (T, N), row = step in sampling order (0 = noise end), True = compute. The only
form of a schedule.

Reuse is counted in entries of the mask; CUR (cache utilisation ratio) = reused / (T N). Row 0
always computes all.
"""

import torch

from harmonica.errors import BadInput


def full(num_steps, num_blocks):
    return torch.ones(num_steps, num_blocks, dtype=torch.bool)


def fora(num_steps, num_blocks, interval=2):
    """FORA (Selvaraju et al., 2024): compute everything at every interval-th step, nothing in
    between.

    Its CUR is 1 - ceil(T / interval) / T: 50 % at interval 2 and even T, and no other choice in
    between.
    """
    keep = torch.zeros(num_steps, num_blocks, dtype=torch.bool)
    keep[::interval] = True
    return keep


def budget(cur_percent, num_steps, num_blocks):
    """-> the number of reused entries that a CUR in percent stands for: round(CUR T N).

    BadInput where no schedule has it: the first of the T rows is always computed.
    """
    most = 100 * (num_steps - 1) / num_steps
    if not 0 <= cur_percent <= most:
        raise BadInput(
            f"cur: {cur_percent} percent is not possible; with T = {num_steps} it lies in "
            f"0..{most:g}"
        )
    return round(cur_percent / 100 * num_steps * num_blocks)


def random(num_steps, num_blocks, reused, seed):
    """Exactly `reused` entries chosen uniformly from the rows after the first."""
    order = torch.randperm(
        (num_steps - 1) * num_blocks, generator=torch.Generator().manual_seed(seed)
    )
    keep = torch.ones((num_steps - 1) * num_blocks, dtype=torch.bool)
    keep[order[:reused]] = False
    return torch.cat([full(1, num_blocks), keep.view(num_steps - 1, num_blocks)])


def lowest(scores, reused):
    """Reuse exactly the `reused` lowest scores (T, N) after the first row; ties go to the earlier
    entry.
    """
    keep = torch.ones(scores[1:].numel(), dtype=torch.bool)
    keep[torch.argsort(scores[1:].flatten(), stable=True)[:reused]] = False
    return torch.cat([full(1, scores.shape[1]), keep.view_as(scores[1:])])


def lowest_after_last(scores, reused):
    """`lowest` among the steps before the last one, which reuses every block. reused >= N."""
    scores = scores.clone()
    scores[-1] = -torch.inf
    return lowest(scores, reused)


def cur_percent(keep):
    return 100 * float((~keep).sum()) / keep.numel()
