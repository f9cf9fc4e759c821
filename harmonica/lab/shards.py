"""Blocks and shards of a run: which images are sampled together, in which file they lie. Imports no
torch.
"""

from harmonica.errors import check


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
    """Of a shard, the blocks that have no file yet."""
    return [
        block
        for block in shard_blocks(run, shard, num_shards)
        if not block_path(run, store, block).exists()
    ]


def block_path(run, store, block):
    return store.samples(run) / f"block-{block:05d}.npy"
