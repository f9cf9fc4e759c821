"""All random numbers. Each depends only on its purpose (the domain), a key and the sample's index,
never on batch size, shards or the order of work.
"""

import numpy as np
import torch

EVALUATION, REFERENCE, TRAJECTORY, LAMBDA, DATA, ENCODING, SEARCH, COMPRESSION = range(8)


def generators(domain, *key, indices):
    """One numpy generator per sample index."""
    return [np.random.default_rng([domain, *key, int(i)]) for i in indices]


def normal(rngs, shape):
    """The next standard normals of each generator -> (len(rngs), *shape) float32."""
    return torch.from_numpy(
        np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in rngs])
    )


def choices(rngs, below):
    """The next integer in 0..below-1 of each generator -> (len(rngs),) int64 array."""
    return np.array([rng.integers(below) for rng in rngs])


def step_noise(domain, *key, indices, shape):
    """-> noise(step): a stochastic sampler's standard normals for that step, (len(indices), *shape)
    float32.
    """

    def noise(step):
        return normal([generators(domain, *key, k, indices=[step + 1])[0] for k in indices], shape)

    return noise
