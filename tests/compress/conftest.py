"""Settings as small as can be."""

import pytest

from harmonica.compress.settings import AdaRound, EfficientDM, Pruning, Quantisation

ROUNDING = {
    "adaround": AdaRound(iterations=3, batch=16),
    "efficientdm": EfficientDM(
        trajectories=4, batch=2, rank=2, factor_rate=0.01, input_rate=1e-4, scale_rate=1e-5
    ),
}


@pytest.fixture
def quantisation():
    """-> a function that gives a Quantisation of T = 4: (weight bits, input bits, method)."""

    def make(weight_bits=8, activation_bits=8, method="efficientdm", **settings):
        return Quantisation(
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            rounding=ROUNDING[method],
            images=4,
            rows=64,
            **{"num_steps": 4, **settings},
        )

    return make


@pytest.fixture
def pruning():
    return Pruning(removed_percent=40, steps=4, batch=4, lr=1e-3, threshold=2.0, score_batch=4)
