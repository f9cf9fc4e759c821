"""What jobs will take: hours of one GPU (paper scale) or of one core (else), and disk. Estimates, for --dry-run.

Paper scale rests on two figures. Training: the paper's own hours for DiT-XL/2 256 (results/paper/table_training_cost.csv:
4 GPUs of H800 class; 20 000 updates of 32 guided samples at T = 10; 1.22 million images for Learning-to-Cache). Sampling:
DiT's published multiply-accumulates over an ASSUMED rate. Other models at paper scale are not known here.
"""
from harmonica import expect

HOURS_PER_SDT_SAMPLE = 4 * 1.63 / (20_000 * 32)         # the paper's, HarmoniCa; one update, one guided sample
HOURS_PER_LTC_SAMPLE = 4 * 2.15 / 1.22e6                # the paper's, Learning-to-Cache
MACS = {"256": 118.6e9, "512": 524.6e9}                 # one forward of DiT-XL/2 at this resolution (the DiT paper)
MACS_PER_HOUR = 3600 * 30e12                            # assumed: float32 with TF32 on an 80 GB data centre GPU
EVALUATION_HOURS = 0.5                                  # assumed: Inception features of 50 000 images
FLOAT_BYTES = 4


def hours(job):
    """Expected hours of one device for a plan.Job, all its shards together; None where nothing is known of it."""
    if job.artefact is None:
        return 0.02
    model = _model(job.artefact)
    if model.scale != "paper":
        return expect.START_S / 3600 if job.kind == "evaluate" and _has_samples(job) else expect.seconds(job.artefact) / 3600
    macs = next((macs for size, macs in MACS.items() if "dit-xl" in model.name.lower() and size in model.name), None)
    if macs is None:
        return None
    if job.kind == "train":
        return _training_hours(job.artefact) * macs / MACS["256"]
    if job.kind == "latency":
        return sum(spec.num_steps * (job.artefact.repeats + 1) * job.artefact.batch for spec in job.artefact.runs) * 2 * macs / MACS_PER_HOUR
    sampling = job.artefact.num_images * job.artefact.num_steps * _halves(job.artefact) * macs * expect.share(job.artefact)
    return (sampling / MACS_PER_HOUR if job.kind == "sample" or not _has_samples(job) else 0) + (
        EVALUATION_HOURS if job.kind == "evaluate" else 0)


def disk_bytes(jobs):
    """Images that the jobs will leave below samples/, float32 in the model's space; None where a model is not known."""
    sizes = [job.artefact.num_images * _values(_model(job.artefact)) * FLOAT_BYTES
             for job in jobs if job.kind == "evaluate" and job.artefact.kind == "run"]
    return sum(sizes)


def _training_hours(spec):
    training = spec.training
    rows = (spec.num_steps - 1) * (0.5 if training.ltc_form == "released" else 1)
    return training.trajectories * rows * training.batch * (
        HOURS_PER_LTC_SAMPLE if training.walk == "ltc" else HOURS_PER_SDT_SAMPLE)


def _has_samples(job):
    """Whether the images are made by sampling jobs of their own."""
    return f"{job.key}.samples" in job.needs


def _halves(spec):
    return 1 if spec.guidance == 1 else 2


def _values(model):
    """Numbers in one image: 8 x 8 digits; 4 latent channels of an eighth of the resolution."""
    return 64 if model.scale != "paper" else 4 * (int(next((s for s in MACS if s in model.name), 256)) // 8) ** 2


def _model(artefact):
    return artefact.runs[0].model if artefact.kind == "latency" else artefact.model
