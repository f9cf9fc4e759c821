"""What artefacts will take: time, disk, memory. Arithmetic, not measurement. Imports no torch.

The multiply-accumulates of a model's blocks, times how often they run, over a rate: MEASURED on one
core of a 2.6 GHz server at the small scales, ASSUMED for one H100-class GPU at paper scale.
"""

from dataclasses import dataclass

from harmonica.digits.manifest import manifest, side
from harmonica.weights import catalogue

WIDTH, DEPTH = 1152, 28  # of DiT-XL/2 and of the published PixArts
SMOKE = {"width": 32, "depth": 2, "patch": 2}
PIXELS_PER_TOKEN = 16 * 16
DECODER_MACS = {256: 311.1e9, 1024: 1257.3e9}  # of an image, counted, by tokens: 256 px, 512 px
DECODER_MACS_PER_TOKEN = 1257.3e9 / 1024  # of larger images, attention in the decoder left out
# Activations of one update, times tokens x width, with and without checkpointing: counted on small
# models, rounded up. And the student's new cache.
SAVED_PER_LAYER, CACHE_PER_LAYER = {False: 14.5, True: 6.7}, 2
FLOAT_BYTES = 4
# The share of a forward that still runs between two full ones.
BETWEEN = {"fora": 0, "faster-diffusion": 0.5, "deepcache": 0.2}


@dataclass(frozen=True)
class Machine:
    """How fast it is. update: one update of a row in forwards of its batch (teacher, student,
    backward, and the filling step of ltc), by walk. overhead: of timing and of lambda's forks, over
    what the rate says. start_s: importing, loading, metrics.
    """

    macs_per_second: dict
    update: dict
    overhead: float
    start_s: float


# An update in forwards, counted: teacher, student, a backward as two, the filling step of ltc.
UPDATE = {"sdt": 4.0, "ltc": 5.0, "direct": 4.0}
CORE = Machine({None: 24e9}, {"sdt": 6.0, "ltc": 8.0, "direct": 6.0}, overhead=1.5, start_s=4.0)
GPU = Machine(
    {None: 20e12, "tf32": 100e12, "bfloat16": 200e12, "float16": 200e12},
    UPDATE,
    overhead=1.0,
    start_s=0.0,
)


def seconds(artefact):
    """Of one core for a spec at a small scale; of one GPU at paper scale, where loading and
    metrics are left out.
    """
    machine = GPU if artefact.model.scale == "paper" else CORE
    if artefact.kind == "router":
        return machine.start_s + _training_s(artefact, machine)
    if artefact.kind == "schedule":
        return machine.start_s + _making_s(artefact, machine)
    if artefact.kind == "compressed":
        return machine.start_s + _compressing_s(artefact.model, machine)
    if artefact.kind == "run":
        one = _sampling_s(artefact, machine) + _decoding_s(artefact, machine)
        return machine.start_s + artefact.num_images * one
    times = (artefact.repeats + 1) * machine.overhead
    if artefact.kind == "training":
        return machine.start_s + times * sum(
            _training_s(router, machine) / router.training.trajectories
            for _, router in artefact.rows
        )
    return machine.start_s + times * artefact.batch * sum(
        _sampling_s(run, machine) for run in artefact.runs
    )


def _compressing_s(model, machine):
    forwards = model.compression.forwards(tokens(model))
    return machine.overhead * forwards * _forward_s(model.original, machine)


def _making_s(spec, machine):
    """Of a schedule: forwards of one image, a search's at most."""
    settings, steps = spec.settings, spec.num_steps
    forwards = spec.forwards or settings.images * steps
    if spec.making == "search":
        forwards = settings.forwards(steps)
    return _halves(spec) * forwards * _forward_s(spec.model, machine)


def _forward_s(model, machine, precision=None):
    work = model.compression.work if model.compression else 1
    return work * forward_macs(model) / machine.macs_per_second[precision]


def _sampling_s(run, machine):
    """Of one image. A published router's CUR is not known here, so it counts as uncached."""
    share = 1 - (run.cur_percent or 0) / 100
    interval = run.made.interval if run.made else run.interval
    if run.made and run.made.cur_percent is not None:
        share = 1 - run.made.cur_percent / 100
    elif run.schedule in BETWEEN or interval:
        share = 1 - (1 - 1 / (interval or 2)) * (1 - BETWEEN.get(run.schedule, 0))
    forwards = _halves(run) * run.num_steps * share
    precision = run.precision if machine is GPU else None
    return forwards * _forward_s(run.model, machine, precision)


def _decoding_s(run, machine):
    if not run.images:
        return 0.0
    count = tokens(run.model)
    macs = DECODER_MACS.get(count, count * DECODER_MACS_PER_TOKEN)
    return macs / machine.macs_per_second[None]


def _training_s(router, machine):
    halves = 1 if router.training.walk == "ltc" else _halves(router)
    forwards = training_forwards(router, machine.update, machine.overhead)
    return halves * forwards * _forward_s(router.model, machine)


def training_forwards(router, update=UPDATE, overhead=1.0):
    """Forwards of one image that training a router takes. update: an update of a row in forwards,
    by walk; overhead: on measuring lambda.
    """
    t, steps = router.training, router.num_steps
    rows = steps // 2 if t.ltc_form == "released" else steps - 1
    forwards = t.trajectories * rows * t.batch * update[t.walk]
    if t.objective != "mse":  # lambda: half of T walks
        walks = t.trajectories / t.refresh * t.lambda_batch
        forwards += overhead * walks * steps * (steps + 1) / 2
    return forwards


def _halves(artefact):
    """Guidance computes two images for one."""
    return 1 if artefact.guidance == 1 else 2


def tokens(model):
    """Of a ModelSpec; those of 256 px where a name of paper scale is no published one."""
    return _shape(model)[0]


def forward_macs(model):
    """Of a ModelSpec's blocks, one image. The text's own part is small and computed once."""
    count, width, depth, text = _shape(model)
    cross = 2 * count * width**2 if text else 0
    return depth * (12 * count * width**2 + 2 * count**2 * width + cross)


def _shape(model):
    """-> tokens, width, depth, whether text enters."""
    if model.scale == "paper":
        known = catalogue.PUBLISHED.get(model.name)
        count = known.tokens if known and known.tokens else 256
        depth = DEPTH + (model.name == catalogue.UVIT)
        return count, WIDTH, depth, model.prompts is not None
    about = manifest()[model.name]
    shape = about["training"] or SMOKE
    depth = shape["depth"] + (about.get("family") == "uvit")  # its middle block
    return (side(about) // shape["patch"]) ** 2, shape["width"], depth, "text_width" in shape


def disk_bytes(artefact):
    """Of a run's images: float32 and grey, or uint8 RGB at paper scale; other artefacts are small."""
    if artefact.kind != "run":
        return 0
    if artefact.images:
        of_one = 3 * PIXELS_PER_TOKEN * tokens(artefact.model)
    else:
        of_one = FLOAT_BYTES * side(manifest()[artefact.model.name]) ** 2
    return artefact.num_images * of_one


def search_bytes(schedule):
    """Memory of a search with a published model, where features are kept beside it: weights, the
    features of a batch of walks (predicted ones beside computed ones), the graph of one step.
    """
    settings, blocks = schedule.settings, DEPTH * (3 if schedule.model.prompts else 2)
    share = settings.predict * schedule.cur_percent / 100
    walked = schedule.num_steps * blocks * (1 + share)
    graph = SAVED_PER_LAYER[False] * blocks / 2
    batch = _halves(schedule) * settings.at_once(settings.images)
    parameters = DEPTH * (12 + 2 * 6) * WIDTH**2
    return FLOAT_BYTES * (parameters + batch * tokens(schedule.model) * WIDTH * (walked + graph))


def training_bytes(router, num_gpus=1):
    """Memory of one update of DiT-XL/2 on each of `num_gpus`: weights, saved activations, cache."""
    t = router.training
    halves = 1 if t.walk == "ltc" else _halves(router)
    per_layer = SAVED_PER_LAYER[t.checkpoint] + CACHE_PER_LAYER
    parameters = DEPTH * (12 + 2 * 6) * WIDTH**2  # of adaLN there is a copy (DiT.starts)
    activations = t.batch * halves / num_gpus * tokens(router.model) * WIDTH * DEPTH * per_layer
    return FLOAT_BYTES * (parameters + activations)
