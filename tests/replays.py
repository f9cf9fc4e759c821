"""What stands for CUDA graphs where there is no GPU."""

from torch.utils._pytree import tree_leaves


def rerun(function, device):
    """What a CUDA graph does, on any device: rerun on the same buffers, into the same output."""
    result = function()

    def replay():
        for static, new in zip(tree_leaves(result), tree_leaves(function())):
            static.copy_(new)

    return replay, result
