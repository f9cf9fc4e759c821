"""What jobs will take, for --dry-run: hours by harmonica.expect (estimates; at paper scale over an
ASSUMED rate), disk.
"""

from harmonica.lab import expect, outlook

DIGIT_BYTES = 8 * 8 * 4


def hours(job):
    """Expected hours of one core, of one GPU at paper scale, for a jobs.Job, all its shards
    together.
    """
    if job.artefact is None:
        return 0.0
    if job.kind == "evaluate" and f"{job.key}.samples" in job.needs:
        return expect.START_S / 3600
    return expect.seconds(job.artefact) / 3600


def disk_bytes(artefact):
    """Of the images of a run, at any scale; other artefacts are small."""
    if artefact.kind != "run":
        return 0
    return (
        outlook.disk_bytes(artefact)
        if artefact.model.scale == "paper"
        else artefact.num_images * DIGIT_BYTES
    )


def missing_files(artefacts):
    """Sentences on the files that paper scale needs and that are not there."""
    return outlook.missing(
        [
            artefact
            for artefact in artefacts
            if artefact.kind in ("router", "run") and artefact.model.scale == "paper"
        ]
    )
