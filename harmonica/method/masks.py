"""Functions that make keep masks: bool (T, N), row = step in sampling order (0 = noise end), True =
compute. Row 0 computes everything.

Reuse is counted in entries of the mask: CUR (cache utilisation ratio) = reused entries / (T N).
"""

import torch

from harmonica.errors import BadInput, check

PER_BLOCK = 2  # columns per transformer block of a U-ViT: attention and feed-forward


def full(num_steps, num_blocks):
    return torch.ones(num_steps, num_blocks, dtype=torch.bool)


def fora(num_steps, num_blocks, interval=2):
    """FORA (Selvaraju et al., 2024): compute everything at every interval-th step, nothing in
    between.

    Its CUR is 1 - ceil(T / interval) / T: 50 % for interval 2 and even T, next 67 % for interval 3.
    """
    keep = torch.zeros(num_steps, num_blocks, dtype=torch.bool)
    keep[::interval] = True
    return keep


def faster_diffusion(num_steps, num_blocks):
    """Faster Diffusion (Li et al., 2024) on a U-ViT, as a mask: every second step computes
    everything; in between the in-blocks and the middle block reuse and the out-blocks run.

    The authors cache the stream after each of those blocks; a mask caches what each block adds, so
    here the stream still begins with this step's tokens. They space the full steps unevenly, here
    they are even.
    """
    _check_uvit(num_blocks)
    keep = fora(num_steps, num_blocks)
    keep[:, (num_blocks + PER_BLOCK) // 2 :] = True
    return keep


def deepcache(num_steps, num_blocks):
    """DeepCache (Ma et al., 2024) on a U-ViT, as a mask: every second step computes everything; in
    between only the first in-block and the last out-block run.

    The authors cache the stream between those two; a mask caches what each block adds, so here the
    linear layers of all long skips run.
    """
    _check_uvit(num_blocks)
    keep = fora(num_steps, num_blocks)
    keep[:, :PER_BLOCK] = True
    keep[:, -PER_BLOCK:] = True
    return keep


def _check_uvit(num_blocks):
    """BadInput where so many units are not those of blocks in, a middle one, and as many out."""
    units_in, rest = divmod(num_blocks - PER_BLOCK, 2)
    right = "Faster Diffusion and DeepCache need a U-ViT: blocks in, a middle one, as many out"
    whole = units_in > 0 and rest == 0 and units_in % PER_BLOCK == 0
    check(whole, "blocks", num_blocks, right)


def budget(cur_percent, num_steps, num_blocks):
    """-> the number of reused entries for a CUR in percent: round(CUR T N).

    BadInput where no schedule can have this CUR, as the first of the T rows is always computed.
    """
    max_percent = 100 * (num_steps - 1) / num_steps
    if not 0 <= cur_percent <= max_percent:
        raise BadInput(
            f"cur: {cur_percent} percent is not possible; "
            f"with T = {num_steps} it lies in 0..{max_percent:g}"
        )
    return round(cur_percent / 100 * num_steps * num_blocks)


def random(num_steps, num_blocks, reused, seed):
    """Reuse exactly `reused` entries, drawn uniformly from the rows after the first."""
    order = torch.randperm(
        (num_steps - 1) * num_blocks, generator=torch.Generator().manual_seed(seed)
    )
    keep = torch.ones((num_steps - 1) * num_blocks, dtype=torch.bool)
    keep[order[:reused]] = False
    return torch.cat([full(1, num_blocks), keep.view(num_steps - 1, num_blocks)])


def lowest(scores, reused):
    """Reuse exactly the `reused` entries of lowest score (T, N) after the first row; among equal
    scores the earlier entry is reused.
    """
    keep = torch.ones(scores[1:].numel(), dtype=torch.bool)
    keep[torch.argsort(scores[1:].flatten(), stable=True)[:reused]] = False
    return torch.cat([full(1, scores.shape[1]), keep.view_as(scores[1:])])


def lowest_after_last(scores, reused):
    """As `lowest`, but the last step reuses every block. reused, these N included, must be >= N."""
    scores = scores.clone()
    scores[-1] = -torch.inf
    return lowest(scores, reused)


def cur_percent(keep):
    return 100 * float((~keep).sum()) / keep.numel()
