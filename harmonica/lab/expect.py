"""About how long an artefact takes on one CPU core: arithmetic over a rate measured on a 2.6 GHz
server core.
"""

from harmonica.digits.manifest import manifest
from harmonica.lab import outlook

MACS_PER_SECOND = 24e9  # of a forward, one core, float32
UPDATE_PER_FORWARD = {
    "sdt": 6.0,
    "ltc": 8.0,
}  # teacher, student, backward (and the filling step), at training's batch
START_S = 4.0  # importing, loading, metrics


def seconds(artefact):
    """Single-core seconds for a runs spec at digits or smoke scale; of one GPU, at an assumed rate,
    at paper scale.
    """
    if artefact.model.scale == "paper":
        return outlook.gpu_seconds(artefact)
    if artefact.kind == "latency":
        return 2 + 1.5 * sum(
            (artefact.repeats + 1)
            * artefact.batch
            * _forward_s(run.model)
            * run.num_steps
            * outlook.share(run)
            * outlook.halves(run)
            for run in artefact.runs
        )
    if artefact.kind == "run":
        computed = outlook.share(artefact) * outlook.halves(artefact)
        return (
            START_S
            + artefact.num_images * artefact.num_steps * _forward_s(artefact.model) * computed
        )
    if artefact.kind == "training":
        return 2 + sum(
            (artefact.repeats + 1)
            * 1.5
            * (seconds(router) - START_S)
            / router.training.trajectories
            for _, router in artefact.rows
        )
    t, steps = artefact.training, artefact.num_steps
    rows = (steps - 1) * (0.5 if t.ltc_form == "released" else 1)
    updates = t.trajectories * rows * t.batch * UPDATE_PER_FORWARD[t.walk]
    refreshes = (
        0
        if t.objective == "mse"
        else 1.5 * t.trajectories / t.refresh * t.lambda_batch * steps * (steps + 1) / 2
    )
    return START_S + (updates + refreshes) * _forward_s(artefact.model) * outlook.halves(artefact)


def _forward_s(model):
    """Seconds of one image's forward."""
    training = manifest()[model.name]["training"] or {"width": 32, "depth": 2, "patch": 2}
    tokens, width = (8 // training["patch"]) ** 2, training["width"]
    cross = (
        2 * tokens * width**2 if "text_width" in training else 0
    )  # the text's own share is computed once
    return (
        training["depth"]
        * (12 * tokens * width**2 + 2 * tokens**2 * width + cross)
        / MACS_PER_SECOND
    )
