"""A training step's forward and backward pass, on a GPU as one CUDA graph: a small model's kernels
take less time than their launches.
"""

from harmonica.fast.cudagraph import Capture, Static


def backward(loss, parameters):
    """-> run(*batch), which computes loss(*batch) and its gradients in the parameters' .grad (what
    was there is dropped) and returns the loss, ().
    """

    def run(*batch):
        value = loss(*batch)
        for parameter in parameters:
            parameter.grad = None
        value.backward()
        return value.detach()

    return run


def captured(run, batch):
    """run of `backward` as a CUDA graph. `batch`: tensors on the GPU like those it will be given.

    The loss that it returns and the gradients lie in memory that the next call writes into.
    """
    static = Static(batch)
    replay, value = Capture()(lambda: run(*static.tree), batch[0].device)

    def run_again(*batch):
        static.fill(batch)
        replay()
        return value

    return run_again
