"""JPEG files that need nothing but decoding: no resizing, no turning, no other colours.

A set of small images is mostly those, and Pillow takes six times as long for one. The bits are the same: both are
libjpeg-turbo, with its exact transform and its smooth upsampling. Whatever is not plain, or damaged, is left to Pillow.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

REVISION = 2  # 2: one that XMP turns is not plain

_MAGIC = b"\xff\xd8\xff"
_NOT_PLAIN = (b"Exif\0", b"tiff:Orientation", b"MPF\0", b"Adobe")  # may be turned, several images, other colours
_COLOURS = {1: ("Gray", "GRAY"), 3: ("YCbCr", "RGB")}  # by channels: as they are stored, and as they are wanted


def decode_plain_jpeg(content: bytes, height: int, width: int, channels: int) -> NDArray[np.uint8] | None:
    """The bytes of a plain JPEG file of this size as uint8 (height, width, channels); None for any others."""
    if not content.startswith(_MAGIC) or any(mark in content for mark in _NOT_PLAIN):
        return None
    stored, wanted = _COLOURS[channels]
    try:
        if simplejpeg.decode_jpeg_header(content)[:3] != (height, width, stored):
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, wanted, fastdct=False, fastupsample=False)
        return pixels
    except ValueError:  # it is damaged: Pillow says how
        return None
