"""From image files to the arrays that the model takes. What a bundle does with a file is what `read_image` does."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import RequestError

FORMATS = ("JPEG", "PNG")
LEAST_SIDE = 4  # of an image: there is nothing to see in fewer pixels
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_WHITE = (255, 255, 255, 255)


def read_image(content: bytes, image_shape: tuple[int, int, int], max_pixels: int, name: str = "the image") -> Any:
    """A JPEG or PNG file as uint8 (height, width, channels), turned upright and resized to the model's size."""
    height, width, channels = image_shape
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            check_size(image.size, max_pixels, name)
            fitted = _fitted(image, (width, height), "L" if channels == 1 else "RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # Pillow's own, far above ours
        raise RequestError(413, f"{name} has too many pixels; allowed are {max_pixels:,} in all") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise RequestError(415, f"{name} is no image that can be read; allowed are {' and '.join(FORMATS)}") from None
    return np.asarray(fitted, dtype=np.uint8).reshape(height, width, channels)


def _fitted(image: Image.Image, size: tuple[int, int], mode: str) -> Image.Image:
    """To the bit as training reads its files: so do a model's figures hold for what is uploaded."""
    if image.format in ("JPEG", "MPO"):  # its decoder itself can halve what is far too large; sides may be swapped yet
        image.draft(mode if image.mode != "CMYK" else None, (2 * max(size),) * 2)
    plain = _on_white(_with_eight_bits(ImageOps.exif_transpose(image)))
    if plain.mode != mode:
        plain = plain.convert(mode)
    return plain.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """Grey images of 16 bits, scaled to 8 as the training images were: Pillow itself would cut them off at 255."""
    if image.mode not in _SIXTEEN_BITS:
        return image
    levels = np.asarray(image).astype(np.int64).clip(0, 65535)
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    """What shows through is white, as in training."""
    if not image.has_transparency_data:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image.convert("RGBA"))


def check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    """Refuse an image by its head, before it is decoded."""
    width, height = size
    if width * height > max_pixels:
        raise RequestError(413, f"{name} has {width} x {height} pixels; allowed are {max_pixels:,} in all")
    if min(width, height) < LEAST_SIDE:
        raise RequestError(400, f"{name} has {width} x {height} pixels; allowed are {LEAST_SIDE} or more each way")
