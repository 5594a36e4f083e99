"""Small pictures for a page: an image, and a map laid over it, as data URIs."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LARGEST = 112  # pixels a side; a study has some hundred of them on a page
_SMALL = 48  # pixels are seen as they are; of larger images nobody misses what JPEG leaves out
_FOR = np.array([203, 24, 29], dtype=np.float64)  # red: speaks for the class
_AGAINST = np.array([33, 102, 172], dtype=np.float64)  # blue: against it; also told apart by those who see no red
_CLIPPED = 99.0  # percentile


def picture(image: NDArray[np.uint8]) -> str:
    """An image (H x W x C) as it is, made smaller where it is large."""
    plain = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return _uri(plain)


def overlay(image: NDArray[np.uint8], values: NDArray[np.floating]) -> str:
    """The image in grey under its map (H x W): red speaks for the class, blue against it, the stronger the denser."""
    grey = image.mean(axis=2, keepdims=True)
    ground = 255 - (255 - np.repeat(grey, 3, axis=2)) * 0.55  # pale, so that the colours are seen
    strength = np.clip(np.abs(values) / max(float(np.percentile(np.abs(values), _CLIPPED)), 1e-12), 0, 1)[..., None]
    colour = np.where(values[..., None] >= 0, _FOR, _AGAINST)
    mixed = (1 - 0.85 * strength) * ground + 0.85 * strength * colour
    return _uri(np.clip(mixed, 0, 255).astype(np.uint8))


def _uri(pixels: NDArray[np.uint8]) -> str:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((_LARGEST, _LARGEST))
    kind = "PNG" if max(image.size) <= _SMALL else "JPEG"
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
