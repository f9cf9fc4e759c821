"""How models are compressed at each scale, and rows over compressed models."""

from dataclasses import replace

from harmonica.compress.settings import AdaRound, EfficientDM, Pruning, Quantisation

# Digits: about as many updates as a router gets there. The published rates are for 16 000 updates
# of 2 images.
ROUNDING = {
    "digits": {
        "adaround": AdaRound(iterations=200, batch=128, lr=0.05),
        "efficientdm": EfficientDM(trajectories=60, batch=16, factor_rate=1 / 250, input_rate=1e-5),
    },
    "smoke": {
        "adaround": AdaRound(iterations=2),
        "efficientdm": EfficientDM(trajectories=2, batch=2, rank=4, input_rate=1e-5),
    },
}
IMAGES = {"digits": 128, "smoke": 4, "paper": 32}  # noises of the walk that gives the ranges
PRUNING = {
    "digits": {"steps": 1500, "lr": 1e-3},
    "smoke": {"steps": 2, "batch": 4, "lr": 1e-3, "score_batch": 4, "threshold": 2.0},
    "paper": {"steps": 100_000, "lr": 1e-4},
}


def rounding(scale, method, num_steps):
    """How quantised weights are learned -> AdaRound or EfficientDM, which at paper scale gets its
    published 16 000 updates.
    """
    if scale != "paper":
        return ROUNDING[scale][method]
    if method == "adaround":
        return AdaRound(iterations=10_000, lr=1e-3)
    return EfficientDM(trajectories=16_000 // num_steps, batch=2)


def quantised(group, method, weight_bits=8):
    """A Group over its models quantised for its own sampler, steps and guidance."""
    return _compressed(
        group,
        Quantisation(
            weight_bits=weight_bits,
            activation_bits=8,
            rounding=rounding(group.scale, method, group.num_steps),
            sampler=group.sampler,
            num_steps=group.num_steps,
            guidance=group.guidance,
            images=IMAGES[group.scale],
        ),
    )


def pruned(group, removed_percent):
    """A Group over its models cut by so many per cent of the blocks' multiply-accumulates."""
    return _compressed(group, Pruning(removed_percent=removed_percent, **PRUNING[group.scale]))


def _compressed(group, settings):
    """The Group over its compressed models; a replicate's number is added to the settings' seed."""
    seeded = [replace(settings, seed=settings.seed + seed) for seed in range(len(group.models))]
    models = zip(group.models, seeded)
    return replace(
        group, models=tuple(replace(m, compression=compression) for m, compression in models)
    )


def row(group, method):
    """The uncached row of a compressed Group; for quantised models its form names the bits."""
    return group.row(method, form=form(group))


def form(group):
    settings = group.models[0].compression
    return "" if isinstance(settings, Pruning) else settings.bits
