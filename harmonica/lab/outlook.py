"""What artefacts of paper scale take: files, GPU-hours, disk, memory. Arithmetic, not measurement.
Imports no torch.

MACs are counted (the autoencoder's with torch's FlopCounterMode); how many of them a GPU does in a
second is ASSUMED.
"""

from harmonica import weights
from harmonica.errors import BadInput
from harmonica.lab.runs import RouterSpec, RunSpec

ASSUMED_MACS_PER_SECOND = {
    None: 20e12,
    "tf32": 100e12,
    "bfloat16": 200e12,
}  # of one H100-class GPU, in float32 and less
WIDTH, DEPTH = 1152, 28  # of DiT-XL/2
DECODER_MACS = {256: 311.1e9, 1024: 1257.3e9}  # of an image, by tokens: 256 px, 512 px
DECODER_MACS_PER_TOKEN = 1257.3e9 / 1024  # of larger images, attention in the decoder left out
UPDATE_PER_FORWARD = {
    "sdt": 4.0,
    "ltc": 5.0,
}  # teacher, student, backward of about two (and the filling step)
# activations of one update, times tokens x width, with and without checkpointing: counted on
# small models, rounded up
SAVED_PER_LAYER = {None: 14.5, True: 6.7}
CACHE_PER_LAYER = 2  # the student's new cache
FLOAT_BYTES, GB = 4, 1e9


def tokens(model):
    """Of a ModelSpec; those of 256 px where the name is no published one."""
    known = weights.PUBLISHED.get(model.name)
    return known.tokens if known and known.tokens else 256


def forward_macs(model):
    count = tokens(model)
    cross = (
        2 * count * WIDTH**2 if model.prompts else 0
    )  # the text's own part is small and computed once
    return DEPTH * (12 * count * WIDTH**2 + 2 * count**2 * WIDTH + cross)


def gpu_seconds(artefact):
    """Of one GPU at the assumed rate; loading and metrics left out."""
    if isinstance(artefact, RouterSpec):
        return _training_macs(artefact) / ASSUMED_MACS_PER_SECOND[None]
    if artefact.kind == "training":
        return sum(
            (artefact.repeats + 1) * gpu_seconds(router) / router.training.trajectories
            for _, router in artefact.rows
        )
    if not isinstance(artefact, RunSpec):
        return sum(
            (artefact.repeats + 1)
            * artefact.batch
            * _sampling_macs(run)
            / ASSUMED_MACS_PER_SECOND[run.precision]
            for run in artefact.runs
        )
    count = tokens(artefact.model)
    decoding = (
        DECODER_MACS.get(count, count * DECODER_MACS_PER_TOKEN) / ASSUMED_MACS_PER_SECOND[None]
    )
    return artefact.num_images * (
        _sampling_macs(artefact) / ASSUMED_MACS_PER_SECOND[artefact.precision] + decoding
    )


def share(run):
    """Computed share of a run's blocks; a published router's is not known here, so it counts as
    uncached.
    """
    return 1 / (run.interval or 2) if run.schedule == "fora" else 1 - (run.cur_percent or 0) / 100


def halves(artefact):
    """Guidance computes two images for one."""
    return 1 if artefact.guidance == 1 else 2


def _sampling_macs(run):
    """Of one image."""
    return halves(run) * run.num_steps * share(run) * forward_macs(run.model)


def _training_macs(router):
    t, steps = router.training, router.num_steps
    both = halves(router) if t.walk == "sdt" else 1
    rows = steps // 2 if t.ltc_form == "released" else steps - 1
    forwards = t.trajectories * rows * t.batch * both * UPDATE_PER_FORWARD[t.walk]
    if t.objective != "mse":  # lambda: half of T walks
        forwards += t.trajectories / t.refresh * t.lambda_batch * both * steps * (steps + 1) / 2
    return forwards * forward_macs(router.model)


def disk_bytes(artefact):
    """Of a run's images, uint8, 16 x 16 pixels a token; other artefacts are small."""
    return (
        artefact.num_images * 3 * 256 * tokens(artefact.model)
        if isinstance(artefact, RunSpec)
        else 0
    )


def training_bytes(router, num_gpus=1):
    """Memory of one update on each of `num_gpus`: weights, saved activations, cache, in float32."""
    samples = (
        router.training.batch
        * (2 if router.training.walk == "sdt" and router.guidance != 1 else 1)
        / num_gpus
    )
    parameters = DEPTH * (12 + 2 * 6) * WIDTH**2  # of adaLN there is a copy (DiT.starts)
    return FLOAT_BYTES * (
        parameters
        + samples
        * tokens(router.model)
        * WIDTH
        * DEPTH
        * (SAVED_PER_LAYER[router.training.checkpoint] + CACHE_PER_LAYER)
    )


def files(artefacts):
    """-> names below weights.folder() of everything that artefacts read there, once each."""
    found = {}
    for artefact in artefacts:
        names = [artefact.model.name] if artefact.kind in ("router", "run") else []
        if artefact.kind == "run" and artefact.images:
            images = artefact.images
            names += [
                images.decoder.name,
                (images.inception or weights.PUBLISHED[weights.INCEPTION]).name,
                images.reference,
                images.clip and images.clip.name,
                artefact.model.prompts and artefact.model.prompts.name,
            ]
        found |= {name: True for name in names if name}
    return list(found)


def missing(artefacts):
    """[sentence] per file that is not there: its name, where it is published, the folder to put it
    into.
    """
    said = []
    for side in sorted(
        {
            int(tokens(a.model) ** 0.5)
            for a in artefacts
            if a.kind == "router" and a.training.walk == "ltc"
        }
    ):
        if not (weights.latents_folder(2 * side) / "labels.npy").exists():
            said.append(
                f"latents: {weights.latents_folder(2 * side)} holds no prepared training images; "
                f"`python -m harmonica latents prepare IMAGES --size {16 * side}` makes them of ImageNet's"
            )
    routers = {
        artefact.published
        for artefact in artefacts
        if isinstance(artefact, RunSpec) and artefact.published
    }
    prompts = {artefact.model.prompts for artefact in artefacts if artefact.kind != "latency"} - {
        None
    }
    wanted = [(weights.find, name, "file") for name in files(artefacts)]
    wanted += [
        (weights.checked_router, router.name, router.sha256)
        for router in sorted(routers, key=lambda r: r.name)
    ]
    wanted += [(weights.embeddings, captions) for captions in prompts]
    for find, *what in wanted:
        try:
            find(*what)
        except BadInput as error:
            said.append(str(error))
    return said


def summary(artefacts):
    """Lines for --dry-run, of the artefacts that are still to be made."""
    routers = [a for a in artefacts if isinstance(a, RouterSpec)]
    hours = {
        kind: sum(gpu_seconds(a) for a in artefacts if a.kind == kind) / 3600
        for kind in ("router", "run")
    }
    said = [
        f"about {hours['run']:.0f} GPU-hours of sampling and {hours['router']:.0f} of router training, ASSUMING "
        f"{ASSUMED_MACS_PER_SECOND[None] / 1e12:.0f} T multiply-accumulates per second in float32 (not measured); "
        "metrics left out",
        f"{sum(map(disk_bytes, artefacts)) / GB:.0f} GB of images below results/local/samples",
    ]
    if routers:
        most = max(routers, key=training_bytes)
        said.append(
            f"largest router training: batch {most.training.batch}, about {training_bytes(most) / GB:.0f} GB on one "
            f"GPU or {training_bytes(most, 4) / GB:.0f} GB on each of 4 (estimate)"
        )
    return said + [f"missing {sentence}" for sentence in missing(artefacts)]
