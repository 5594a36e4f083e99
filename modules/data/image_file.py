"""One image file as an array: files that somebody else made are decoded here, plain JPEG files in `plain_jpeg`.

What is not plain is made plain by rule, and said: the orientation of EXIF or XMP is applied, the first frame of an
animation is taken, 16 bits are scaled to 8, CMYK becomes RGB, transparency is laid on white.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from modules.data.plain_jpeg import decode_plain_jpeg
from modules.errors import DataError

REVISION = 2  # 2: an orientation that only XMP says

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
)
_MOST_PIXELS = 89_478_485  # a quarter of a GiB of RGB, where Pillow begins to warn: more is a decompression bomb
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_GREY = ("1", "L", "LA", "La", "F", *_SIXTEEN_BITS)
_ORIENTATION = 0x0112
_WHITE = (255, 255, 255, 255)


@dataclass(frozen=True)
class Size:
    """How large images are made, in pixels: height, width and channels (1 grey, 3 colour)."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its sides as they are seen, whether it has colour, and what is not plain in it."""

    height: int
    width: int
    coloured: bool
    remarks: tuple[str, ...] = ()


class UnreadableError(ValueError):
    """A file that cannot be used; the message is a phrase that says why."""


def read_image(path: Path, size: Size) -> NDArray[np.uint8]:
    """A file as uint8 of `size`, stretched to fit; DataError where it cannot be decoded."""
    try:
        return decode(path.read_bytes(), size)[0]
    except UnreadableError as error:
        raise DataError(f"cannot read {path}: {error}; allowed are image files such as PNG or JPEG") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; allowed are image files") from error


def decode(content: bytes, size: Size) -> tuple[NDArray[np.uint8], Header]:
    """The bytes of a file as uint8 of `size`, and what its header said; UnreadableError where that fails."""
    plain = decode_plain_jpeg(content, size.height, size.width, size.channels)
    if plain is not None:
        return plain, Header(size.height, size.width, coloured=size.channels > 1)
    with _opened(content) as image:
        header = _header(image)
        pixels = _fitted(image, size).tobytes()
    return np.frombuffer(pixels, dtype=np.uint8).reshape(size.height, size.width, size.channels), header


def read_header(content: bytes) -> Header:
    """What the header of a file says; UnreadableError where it is no image."""
    with _opened(content) as image:
        return _header(image)


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """The image in some bytes; whatever is wrong with it becomes a phrase."""
    if not content:
        raise UnreadableError("it is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata; what matters is an error
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _refuse_bomb(*image.size)
                yield image
        except Image.UnidentifiedImageError as error:
            raise UnreadableError("it is no image of a kind that is known here") from error
        except Image.DecompressionBombError as error:
            raise UnreadableError(
                f"it claims more than the {_MOST_PIXELS:,} pixels allowed: a decompression bomb"
            ) from error
        except (UnreadableError, MemoryError):
            raise
        except Exception as error:  # Pillow's decoders raise all kinds: OSError, SyntaxError, struct.error, KeyError
            raise UnreadableError(f"it is damaged ({str(error).rstrip('.') or type(error).__name__})") from error


def _refuse_bomb(width: int, height: int) -> None:
    if width * height > _MOST_PIXELS:
        raise UnreadableError(
            f"it claims {width} x {height} pixels, more than the {_MOST_PIXELS:,} allowed: a decompression bomb"
        )


def _header(image: Image.Image) -> Header:
    remarks = []
    width, height = image.size
    orientation = image.getexif().get(_ORIENTATION, 1) if _may_be_turned(image) else 1
    if orientation in range(2, 9):
        remarks.append("Images turned as EXIF says")
    if orientation in range(5, 9) and image.format != "TIFF":  # of which Pillow says the sides after turning
        width, height = height, width
    if image.mode in _SIXTEEN_BITS:
        remarks.append("Images whose 16 bits were scaled to 8")
    if image.mode == "CMYK":
        remarks.append("CMYK images made RGB")
    if getattr(image, "is_animated", False) and image.format != "MPO":
        remarks.append("Animated images, of which the first frame was taken")
    if image.has_transparency_data:
        remarks.append("Transparent images laid on white")
    return Header(height, width, _is_coloured(image), tuple(remarks))


def _may_be_turned(image: Image.Image) -> bool:
    """Whether there is metadata to look into, which is slow."""
    keys = [str(key).lower() for key in image.info]
    return image.format == "TIFF" or any("exif" in key or "xmp" in key for key in keys)


def _is_coloured(image: Image.Image) -> bool:
    if image.mode != "P":
        return image.mode not in _GREY
    palette = np.asarray(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    return bool((palette != palette[:, :1]).any())


def _fitted(image: Image.Image, size: Size) -> Image.Image:
    wanted = "L" if size.channels == 1 else "RGB"
    if image.format in ("JPEG", "MPO"):  # its decoder itself can halve what is far too large; sides may be swapped yet
        image.draft(wanted if image.mode != "CMYK" else None, (2 * max(size.height, size.width),) * 2)
    plain = _with_eight_bits(ImageOps.exif_transpose(image) if _may_be_turned(image) else image)
    if plain.has_transparency_data:
        plain = Image.alpha_composite(Image.new("RGBA", plain.size, _WHITE), plain.convert("RGBA"))
    if plain.mode != wanted:
        plain = plain.convert(wanted)
    if plain.size != (size.width, size.height):
        plain = plain.resize((size.width, size.height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return plain


def _with_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableError("its pixels are floating-point numbers; allowed are 8 and 16 bits")
    if image.mode not in _SIXTEEN_BITS:
        return image
    levels = np.asarray(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 65535:
        raise UnreadableError("its pixels have 32 bits; allowed are 8 and 16")
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))
