"""The captions of the digits: 20 templates, written for this package, for each of ten classes.
Imports no torch.

Image (or sample) k has class k mod 10 and template (k // 10) mod 20, so any 10 consecutive ones
hold each class once, and any 200 each caption once. All is lower case, as PixArt's pipelines
convert their prompts to lower case.
"""

from harmonica.digits import data

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEMPLATES = (
    "a handwritten {word}",
    "the digit {figure}",
    "{word}",
    "the number {word}",
    "a small grey {figure}",
    "handwriting: {word}",
    "{figure}",
    "a picture of a {figure}",
    "the numeral {word}",
    "digit {word} in ink",
    "a scanned {word}",
    "number {figure}",
    "a pen-drawn {word}",
    "this says {word}",
    "a {figure} by hand",
    "someone wrote {figure}",
    "a blurry {word}",
    "the figure {figure}",
    "a tiny {word}",
    "write me a {word}",
)
EMPTY = ""  # the unconditional prompt of classifier-free guidance
NUM_CAPTIONS = data.NUM_CLASSES * len(TEMPLATES)


def caption(k):
    """The caption of image k, which depends on k alone."""
    figure = k % data.NUM_CLASSES
    return TEMPLATES[k // data.NUM_CLASSES % len(TEMPLATES)].format(
        word=WORDS[figure], figure=figure
    )
