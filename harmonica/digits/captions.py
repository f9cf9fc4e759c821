"""The captions of the digits: 20 templates of our own writing for each of ten classes. Imports no
torch.

Image (or sample) k has class k mod 10 and template (k // 10) mod 20, so any 10 in a row are
balanced over classes and any 200 hold every caption once. Lower case throughout, as PixArt's
pipelines lower what they are given.
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
EMPTY = ""  # the prompt of classifier-free guidance's other half
NUM_CAPTIONS = data.NUM_CLASSES * len(TEMPLATES)


def caption(k):
    """The caption of image k, a function of k alone."""
    figure = k % data.NUM_CLASSES
    return TEMPLATES[k // data.NUM_CLASSES % len(TEMPLATES)].format(
        word=WORDS[figure], figure=figure
    )
