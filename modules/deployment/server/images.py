"""From image files to the arrays that the model takes. What a bundle does with a file is what `read_image` does."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import RequestError

FORMATS = ("JPEG", "PNG")
LEAST_SIDE = 4  # of an image: there is nothing to see in fewer pixels


def read_image(content: bytes, image_shape: tuple[int, int, int], max_pixels: int, name: str = "the image") -> Any:
    """A JPEG or PNG file as uint8 (height, width, channels), turned upright and resized to the model's size."""
    height, width, channels = image_shape
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            check_size(image.size, max_pixels, name)
            upright = ImageOps.exif_transpose(image)
            fitted = upright.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # Pillow's own, far above ours
        raise RequestError(413, f"{name} has too many pixels; allowed are {max_pixels:,} in all") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise RequestError(415, f"{name} is no image that can be read; allowed are {' and '.join(FORMATS)}") from None
    return np.asarray(fitted, dtype=np.uint8).reshape(height, width, channels)


def check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    """Refuse an image by its head, before it is decoded."""
    width, height = size
    if width * height > max_pixels:
        raise RequestError(413, f"{name} has {width} x {height} pixels; allowed are {max_pixels:,} in all")
    if min(width, height) < LEAST_SIDE:
        raise RequestError(400, f"{name} has {width} x {height} pixels; allowed are {LEAST_SIDE} or more each way")
