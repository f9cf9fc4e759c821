"""A training step's forward and backward pass, which can be captured as one CUDA graph: for a small
model the kernels take less time than their launches.
"""

from harmonica.fast.cudagraph import Capture, Static


def backward(loss, parameters):
    """-> run(*batch), which computes loss(*batch), replaces the parameters' .grad by its gradients
    and returns the loss, a detached scalar.
    """

    def run(*batch):
        value = loss(*batch)
        for parameter in parameters:
            parameter.grad = None
        value.backward()
        return value.detach()

    return run


def captured(run, batch):
    """Capture the `run` that `backward` returns as a CUDA graph -> a function like it. batch:
    tensors on the GPU with the shapes and dtypes of all later batches.

    The next call overwrites the memory of the returned loss and of the gradients.
    """
    static = Static(batch)
    replay, value = Capture()(lambda: run(*static.tree), batch[0].device)

    def run_again(*batch):
        static.fill(batch)
        replay()
        return value

    return run_again
