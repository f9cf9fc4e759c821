"""Keep masks: bool (T, N), row = step in sampling order (0 = noise end), True = compute. The only
form of a schedule.

Reuse is counted in entries of the mask; CUR (cache utilisation ratio) = reused / (T N). Row 0
always computes all.
"""

import torch

from harmonica.errors import BadInput, check

UNITS = 2  # of a U-ViT's transformer block: attention and feed-forward


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


def faster_diffusion(num_steps, num_blocks, interval=2):
    """Faster Diffusion (Li et al., 2024) on a U-ViT, as a mask: at every interval-th step all is
    computed, in between what goes in and the middle reuse, what goes out runs.

    The authors keep what the stream was at the ends of those blocks, a mask what they added to it:
    here the stream holds this step's tokens. They choose steps unevenly, these are even.
    """
    keep = fora(num_steps, num_blocks, interval)
    keep[:, _blocks_in(num_blocks) + UNITS :] = True
    return keep


def deepcache(num_steps, num_blocks, interval=2, outer=1):
    """DeepCache (Ma et al., 2024) on a U-ViT, as a mask: at every interval-th step all is computed,
    in between the `outer` first blocks in and last blocks out alone.

    The authors keep the stream between those, a mask what each block added to it: here the linear
    layers of all long skips run.
    """
    keep, computed = fora(num_steps, num_blocks, interval), outer * UNITS
    check(computed <= _blocks_in(num_blocks), "outer", outer, "there are not so many blocks in")
    keep[:, :computed] = True
    keep[:, -computed:] = True
    return keep


def _blocks_in(num_blocks):
    """How many of a U-ViT's units are in the blocks in; as many are in those out."""
    units = (num_blocks - UNITS) // 2
    right = "Faster Diffusion and DeepCache need a U-ViT: blocks in, a middle one, as many out"
    check(units > 0 and 2 * units + UNITS == num_blocks, "blocks", num_blocks, right)
    check(units % UNITS == 0, "blocks", num_blocks, right)
    return units


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
