"""Reads image files as RGB pixels: rotated as EXIF says, 16-bit greys scaled to 8 bits. Images of
which Pillow would clip, guess or drop something are refused.
"""

import warnings
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image, ImageOps

from harmonica.errors import BadInput
from harmonica.files import first_line

ENDINGS = tuple(
    ".png .jpg .jpeg .jfif .webp .bmp .gif .tif .tiff .ppm .pgm .pnm .jp2 .avif".split()
)
# The only readers of Pillow that are tried, whatever the ending: its EPS reader starts a program.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
PLAIN = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
BITS, PHOTOMETRIC = 258, 262  # tags of TIFF


def read_rgb(source, name):
    """A path or binary file -> a Pillow image of mode RGB. BadInput, calling it `name`, where it is
    damaged, holds several images, is transparent, or has an unknown range of values.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's; what they warn of is refused below
            with Image.open(source, formats=_formats()) as image:
                _one(image, name)
                image.load()
                with suppress(Exception):  # unreadable EXIF turns nothing
                    ImageOps.exif_transpose(image, in_place=True)
                return _rgb(image, name)
    except BadInput:
        raise
    except Exception as error:  # Pillow raises almost anything on a damaged file
        raise BadInput(
            f"{name} cannot be read as an image ({first_line(error)}); replace it or take it out"
        ) from None


@cache
def _formats():
    Image.init()
    return tuple(form for form in FORMATS if form in Image.OPEN)


def _one(image, name):
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # cameras write MPO; its first image is the picture
        raise BadInput(f"{name} holds {frames} images; save the one that is meant")


def _rgb(image, name):
    """The image in mode RGB, without clipping."""
    sixteen = image.mode.startswith("I;16")
    if sixteen or image.mode == "I" and image.format in ("PNG", "PPM"):
        return _of_16_bits(image, name)
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:
            raise BadInput(f"{name} has transparent pixels; lay it on a background")
    elif image.mode not in PLAIN:
        raise BadInput(
            f"{name} is of Pillow's mode {image.mode}, whose range is not known; save it as RGB"
        )
    return image.convert("RGB")


def _of_16_bits(image, name):
    tags = getattr(image, "tag_v2", {})
    if tags.get(BITS, (16,)) != (16,) or tags.get(PHOTOMETRIC, 1) != 1:
        raise BadInput(
            f"{name} holds greys of another range than 0 (black) to 65535; save it as PNG"
        )
    if "transparency" in image.info:
        raise BadInput(f"{name} has transparent pixels; lay it on a background")
    grey = np.round(np.asarray(image).astype(np.float64) / 257)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
