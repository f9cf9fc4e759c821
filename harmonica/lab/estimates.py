"""Estimates of the time, disk and memory that artefacts will take. Imports no torch.

Time is the multiply-accumulates of a model's blocks, times how often they run, divided by a rate:
MEASURED on one core of a 2.6 GHz server for the small scales, ASSUMED for one H100-class GPU at
paper scale.
"""

from dataclasses import dataclass, replace

from harmonica.digits.manifest import manifest, side
from harmonica.weights import catalogue

WIDTH, DEPTH = 1152, 28  # of DiT-XL/2 and of the published PixArts
SMOKE = {"width": 32, "depth": 2, "patch": 2}
PIXELS_PER_TOKEN = 16 * 16
# {tokens: multiply-accumulates of one image}, counted at 256 and 512 px
DECODER_MACS = {256: 311.1e9, 1024: 1257.3e9}
DECODER_MACS_PER_TOKEN = 1257.3e9 / 1024  # for larger images, without the decoder's attention
# Memory of one update per layer, in numbers per token and channel. SAVED: activations kept for the
# backward pass {checkpointing: number}, counted on small DiTs, rounded up. CACHE: the new cache.
SAVED_PER_LAYER, CACHE_PER_LAYER = {False: 14.5, True: 6.7}, 2
FLOAT_BYTES = 4
# The share of a forward that is computed at the steps between two full ones.
BETWEEN = {"fora": 0, "faster-diffusion": 0.5, "deepcache": 0.2}


@dataclass(frozen=True)
class Machine:
    """How fast a machine is. macs_per_second: by precision, None = float32. update: by walk, how
    many forwards of its batch one update of a row costs. overhead: how many times longer timing,
    compression and lambda's forks take than the rate says. start_s: importing, loading, metrics.
    """

    macs_per_second: dict
    update: dict
    overhead: float
    start_s: float


# Forwards of one update: teacher, student, a backward pass as two, and ltc's step that fills the
# cache.
UPDATE = {"sdt": 4.0, "ltc": 5.0, "direct": 4.0}
CORE = Machine({None: 24e9}, {"sdt": 6.0, "ltc": 8.0, "direct": 6.0}, overhead=1.5, start_s=4.0)
WIDER = replace(CORE, macs_per_second={None: 38e9})  # the clothes' model has larger products
GPU = Machine(
    {None: 20e12, "tf32": 100e12, "bfloat16": 200e12, "float16": 200e12},
    UPDATE,
    overhead=1.0,
    start_s=0.0,
)


def seconds(artefact):
    """Estimated seconds to make an artefact: on one core at a small scale, on one GPU at paper
    scale, where loading and metrics are left out.
    """
    machine = {"paper": GPU, "clothes": WIDER}.get(artefact.model.scale, CORE)
    if artefact.kind == "router":
        return machine.start_s + _training_s(artefact, machine)
    if artefact.kind == "schedule":
        return machine.start_s + _making_s(artefact, machine)
    if artefact.kind == "compressed":
        return machine.start_s + _compressing_s(artefact.model, machine)
    if artefact.kind == "run":
        image_s = _sampling_s(artefact, machine) + _decoding_s(artefact, machine)
        return machine.start_s + artefact.num_images * image_s
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
    """Seconds to make a schedule; a search may end earlier."""
    settings, steps = spec.settings, spec.num_steps
    forwards = spec.forwards or settings.images * steps
    if spec.making == "search":
        forwards = settings.forwards(steps)
    if spec.making == "refitted":
        forwards = settings.refitting(steps)
    if spec.making == "taylor":  # its weights follow from the mask
        forwards = 0
    return _copies(spec) * forwards * _forward_s(spec.model, machine)


def _forward_s(model, machine, precision=None):
    work = model.compression.work if model.compression else 1
    return work * forward_macs(model) / machine.macs_per_second[precision]


def _sampling_s(run, machine):
    """Seconds for one image. A published router's CUR is not known here: it counts as uncached."""
    share = 1 - (run.cur_percent or 0) / 100
    interval = run.made.interval if run.made else run.interval
    if run.made and run.made.cur_percent is not None:
        share = 1 - run.made.cur_percent / 100
    elif run.schedule in BETWEEN or interval:
        share = 1 - (1 - 1 / (interval or 2)) * (1 - BETWEEN.get(run.schedule, 0))
    forwards = _copies(run) * run.num_steps * share
    precision = run.precision if machine is GPU else None
    return forwards * _forward_s(run.model, machine, precision)


def _decoding_s(run, machine):
    if not run.images:
        return 0.0
    count = tokens(run.model)
    macs = DECODER_MACS.get(count, count * DECODER_MACS_PER_TOKEN)
    return macs / machine.macs_per_second[None]


def _training_s(router, machine):
    copies = 1 if router.training.walk == "ltc" else _copies(router)
    forwards = training_forwards(router, machine.update, machine.overhead)
    return copies * forwards * _forward_s(router.model, machine)


def training_forwards(router, update=UPDATE, overhead=1.0):
    """How many forwards of one image training a router takes. update: by walk, forwards per update
    of a row; overhead: a factor on the forwards that measure lambda.
    """
    t, steps = router.training, router.num_steps
    rows = steps // 2 if t.ltc_form == "released" else steps - 1
    forwards = t.trajectories * rows * t.batch * update[t.walk]
    if t.objective != "mse":  # a walk, and at each step a fork of it to the end
        walks = t.trajectories / t.refresh * t.lambda_batch
        forwards += overhead * walks * steps * (steps + 1) / 2
    return forwards


def _copies(artefact):
    """How many samples the model computes for each image: two under guidance."""
    return 1 if artefact.guidance == 1 else 2


def tokens(model):
    """Tokens of a ModelSpec's image; of an unpublished name at paper scale, those of 256 px."""
    return _shape(model)[0]


def forward_macs(model):
    """Multiply-accumulates of a ModelSpec's blocks for one image. What is computed of the prompt
    alone, once per trajectory, is small and left out.
    """
    count, width, depth, text = _shape(model)
    cross = 2 * count * width**2 if text else 0
    return depth * (12 * count * width**2 + 2 * count**2 * width + cross)


def _shape(model):
    """-> tokens, width, depth, whether the model has cross-attention to text."""
    if model.scale == "paper":
        published = catalogue.PUBLISHED.get(model.name)
        count = published.tokens if published and published.tokens else 256
        depth = DEPTH + (model.name == catalogue.UVIT)
        return count, WIDTH, depth, model.prompts is not None
    about = manifest()[model.name]
    shape = about["training"] or SMOKE
    depth = shape["depth"] + (about.get("family") == "uvit")  # its middle block
    return (side(about) // shape["patch"]) ** 2, shape["width"], depth, "text_width" in shape


def disk_bytes(artefact):
    """Bytes of a run's images: float32 and grey, or uint8 RGB at paper scale. Others count as 0."""
    if artefact.kind != "run":
        return 0
    if artefact.images:
        of_one = 3 * PIXELS_PER_TOKEN * tokens(artefact.model)
    else:
        of_one = FLOAT_BYTES * side(manifest()[artefact.model.name]) ** 2
    return artefact.num_images * of_one


def search_bytes(schedule):
    """Bytes that a schedule of making "search", with a published model, takes if all features stay
    on the GPU: weights, features of a batch of walks (predicted and computed ones), autograd's
    graph of one step.
    """
    settings, blocks = schedule.settings, _units(schedule.model)
    share = settings.predict * schedule.cur_percent / 100
    walked = schedule.num_steps * blocks * (1 + share)
    graph = SAVED_PER_LAYER[False] * blocks / 2
    batch = _copies(schedule) * settings.at_once(settings.images)
    features = batch * tokens(schedule.model) * WIDTH * (walked + graph)
    return FLOAT_BYTES * (_parameters(schedule.model) + features)


def training_bytes(router, num_gpus=1):
    """Bytes on each of `num_gpus` for one update of a published model: weights, saved activations,
    cache. What was counted of a DiT's two units per layer is taken for every two units of others.
    """
    t = router.training
    copies = 1 if t.walk == "ltc" else _copies(router)
    layers = _units(router.model) / 2
    per_layer = SAVED_PER_LAYER[t.checkpoint] + CACHE_PER_LAYER
    activations = t.batch * copies / num_gpus * tokens(router.model) * WIDTH * layers * per_layer
    return FLOAT_BYTES * (_parameters(router.model) + activations)


def _units(model):
    """How many cacheable units a published model has: with text, three in each layer, else two."""
    _, _, depth, text = _shape(model)
    return depth * (3 if text else 2)


def _parameters(model):
    """Numbers in the weights of a published model's layers: 12 squares of the width in each, 4 more
    for attention to text, 2 for the long skip of every second layer of a U-ViT; a DiT's adaLN has 6
    and is there twice, as DiT.starts copies it.
    """
    _, width, depth, text = _shape(model)
    more = 4 if text else 1 if model.name == catalogue.UVIT else 2 * 6
    return depth * (12 + more) * width**2
