"""Which files artefacts of paper scale read that no artefact makes, and where missing ones come
from. Imports no torch.
"""

from harmonica import weights
from harmonica.errors import BadInput
from harmonica.lab import estimates
from harmonica.weights import catalogue


def missing_files(artefacts):
    """-> a sentence for each file that compressed models, routers and runs of paper scale need and
    that is missing: its name, where it is published, the folder to put it into. Other kinds of
    artefacts are not looked at: they read what their runs read.
    """
    kinds = ("compressed", "router", "run")
    of_paper = [a for a in artefacts if a.kind in kinds and a.model.scale == "paper"]
    sentences = _missing_latents(of_paper)
    lookups = [(weights.find, name, "file") for name in names(of_paper)]
    lookups += [
        (weights.checked_router, router.name, router.sha256)
        for router in _published_routers(of_paper)
    ]
    prompts = {a.model.prompts for a in of_paper if a.model.prompts}
    lookups += [(weights.embeddings, captions) for captions in prompts]
    for find, *arguments in lookups:
        try:
            find(*arguments)
        except BadInput as error:
            sentences.append(str(error))
    return sentences


def names(artefacts):
    """-> names below weights.folder() of everything that these artefacts read there, once each."""
    read_names = {}
    for artefact in artefacts:
        null = artefact.model.prompts and artefact.model.prompts.null
        read = [artefact.model.name, null and null.name]
        if artefact.kind == "run" and artefact.images:
            images, prompts = artefact.images, artefact.model.prompts
            inception = images.inception or catalogue.PUBLISHED[catalogue.INCEPTION]
            read += [images.decoder.name, inception.name, images.reference]
            read += [images.clip and images.clip.name, prompts and prompts.name]
        read_names |= {name: True for name in read if name}
    return list(read_names)


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


def _published_routers(artefacts):
    routers = {a.published for a in artefacts if a.kind == "run" and a.published}
    return sorted(routers, key=lambda router: router.name)
