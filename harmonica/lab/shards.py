"""Blocks and shards of a run: which images are sampled together, and in which files they are.
Imports no torch.
"""

from harmonica.errors import check
from harmonica.files import is_whole_array


def num_blocks(run):
    return -(-run.num_images // run.batch)


def shard_blocks(run, shard, num_shards):
    """The blocks of shard number `shard` of `num_shards`: contiguous, as equal as can be, perhaps
    none.
    """
    check(num_shards >= 1, "num_shards", num_shards, "it must be at least 1")
    check(0 <= shard < num_shards, "shard", shard, f"it lies in 0..{num_shards - 1}")
    return range(num_blocks(run) * shard // num_shards, num_blocks(run) * (shard + 1) // num_shards)


def missing_blocks(run, store, shard=0, num_shards=1):
    """The blocks of a shard whose files are missing or damaged."""
    folder = store.samples(run)
    blocks = shard_blocks(run, shard, num_shards)
    return [block for block in blocks if not _is_whole(folder, block)]


def block_path(folder, block):
    """The file of a block's images, below the folder of a run's samples."""
    return folder / f"block-{block:05d}.npy"


def trajectory_path(folder):
    """The file of the first block's images at every step."""
    return folder / "trajectory.npy"


def _is_whole(folder, block):
    files = [block_path(folder, block)] + ([] if block else [trajectory_path(folder)])
    return all(map(is_whole_array, files))
