"""Which files artefacts of paper scale read that no artefact makes, whether they are whole, and
where missing ones come from. Imports no torch.
"""

from harmonica import weights
from harmonica.errors import BadInput, check
from harmonica.files import read_json
from harmonica.lab import estimates
from harmonica.weights import catalogue


def missing_files(artefacts):
    """-> a sentence for each file that compressed models, routers and runs of paper scale need and
    that is missing: its name, where it is published, the folder to put it into; or that is not
    whole. Other kinds of artefacts are not looked at: they read what their runs read.
    """
    kinds = ("compressed", "router", "run")
    of_paper = [a for a in artefacts if a.kind in kinds and a.model.scale == "paper"]
    sentences = _missing_latents(of_paper)
    lookups = [(weights.whole, name, sha256) for name, sha256 in _files(of_paper).items()]
    published = {a.published for a in of_paper if a.kind == "run" and a.published}
    routers = sorted((router.name, router.sha256) for router in published)
    lookups += [(weights.checked_router, *router) for router in routers]
    lookups += [
        (_check_captions, a.model.prompts, a.num_images if a.kind == "run" else 1)
        for a in of_paper
        if a.model.prompts
    ]
    for look, *arguments in dict.fromkeys(lookups):
        try:
            look(*arguments)
        except BadInput as error:
            sentences.append(str(error))
    return list(dict.fromkeys(sentences))


def _check_captions(prompts, num_images):
    """BadInput where captions are not embedded, or where they are too few for one an image."""
    about = read_json(weights.embeddings(prompts) / "about.json")
    right = f"{num_images} images need as many, one on each line of {prompts.name}"
    check(about.get("count", 0) >= num_images, "captions", about.get("count"), right)


def _files(artefacts):
    """-> {name below weights.folder(): sha256, None where no spec has one} of everything that these
    artefacts read there.
    """
    sha256 = {}
    for artefact in artefacts:
        model, prompts = artefact.model, artefact.model.prompts
        specs, reference = [model, prompts and prompts.null], None
        if artefact.kind == "run" and artefact.images:
            images = artefact.images
            inception = images.inception or catalogue.PUBLISHED[catalogue.INCEPTION]
            specs += [images.decoder, inception, images.clip, prompts]
            reference = images.reference
        sha256 |= {spec.name: spec.sha256 for spec in specs if spec}
        sha256 |= {reference: None} if reference else {}
    return sha256


def _missing_latents(artefacts):
    sentences = []
    trained = [a for a in artefacts if _reads_images(a)]
    for side in sorted({int(estimates.tokens(a.model) ** 0.5) for a in trained}):
        folder = weights.latents_folder(2 * side)
        if not (folder / "labels.npy").exists():
            sentences.append(
                f"latents: {folder} holds no prepared training images; `python -m harmonica "
                f"latents prepare IMAGES --size {16 * side}` makes them of ImageNet's"
            )
    return sentences


def _reads_images(artefact):
    """Whether an artefact is trained on images."""
    if artefact.kind == "router":
        return artefact.training.walk == "ltc"
    return artefact.kind == "compressed" and artefact.model.compression.on_images
