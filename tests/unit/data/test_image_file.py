import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.data.image_file import Size, UnreadableError, decode, read_header, read_image
from modules.data.plain_jpeg import decode_plain_jpeg
from modules.errors import DataError
from tests.unit.data.pictures import picture

COLOUR = Size(20, 20, 3)


def saved(image: Image.Image, kind: str = "PNG", **arguments: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **arguments)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_formats_that_lose_nothing_give_the_pixels(kind):
    image = picture(1)
    arguments = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels, header = decode(saved(image, kind, **arguments), COLOUR)
    np.testing.assert_array_equal(pixels, np.asarray(image))
    assert (header.height, header.width, header.coloured, header.remarks) == (20, 20, True, ())


@given(
    seed=st.integers(0, 10_000),
    quality=st.integers(1, 100),
    subsampling=st.integers(0, 2),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    is_grey=st.booleans(),
    is_progressive=st.booleans(),
)
def test_a_jpeg_is_what_pillow_makes_of_it(seed, quality, subsampling, height, width, is_grey, is_progressive):
    image = picture(seed, height, width, mode="L" if is_grey else "RGB")
    content = saved(image, "JPEG", quality=quality, subsampling=subsampling, progressive=is_progressive)
    size = Size(height, width, 1 if is_grey else 3)
    assert decode_plain_jpeg(content, height, width, size.channels) is not None
    pixels, header = decode(content, size)
    expected = np.asarray(Image.open(io.BytesIO(content))).reshape(height, width, size.channels)
    np.testing.assert_array_equal(pixels, expected)
    assert header == read_header(content)


@pytest.mark.parametrize("wished", [(10, 20, 3), (20, 10, 3), (20, 20, 1)])
def test_a_jpeg_of_other_size_or_colours_is_not_plain(wished):
    assert decode_plain_jpeg(saved(picture(1), "JPEG"), *wished) is None


@pytest.mark.parametrize("cut", [1, 3, 50, 200])
def test_a_truncated_jpeg_is_damaged_and_not_plain(cut):
    content = saved(picture(1), "JPEG")[:-cut]
    assert decode_plain_jpeg(content, 20, 20, 3) is None
    with pytest.raises(UnreadableError):
        decode(content, COLOUR)


def test_a_jpeg_of_four_colours_is_not_plain():
    assert decode_plain_jpeg(saved(picture(1).convert("CMYK"), "JPEG"), 20, 20, 3) is None


def test_a_large_jpeg_is_about_what_a_plain_resize_makes_of_it():
    content = saved(picture(2, 640, 480), "JPEG", quality=95)
    plain = np.asarray(Image.open(io.BytesIO(content)).resize((32, 32), Image.Resampling.BILINEAR))
    pixels, header = decode(content, Size(32, 32, 3))
    assert np.abs(pixels.astype(int) - plain).mean() < 1.0
    assert (header.height, header.width) == (640, 480)


def test_grey_and_colour_become_each_other():
    grey = picture(3, mode="L")
    pixels, header = decode(saved(grey), COLOUR)
    assert not header.coloured
    np.testing.assert_array_equal(pixels, np.asarray(grey)[..., None].repeat(3, axis=2))
    np.testing.assert_array_equal(decode(saved(picture(3)), Size(20, 20, 1))[0][..., 0], picture(3).convert("L"))


def test_a_palette_is_grey_or_not_as_its_colours_are():
    assert not read_header(saved(picture(1, mode="L").convert("P"), "GIF")).coloured
    assert read_header(saved(picture(1).quantize(8), "PNG")).coloured


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation, kind):
    """The upper left of the upright image is bright, whatever way the camera was held."""
    upright = Image.fromarray(np.pad(np.full((8, 8), 255, np.uint8), ((0, 8), (0, 24))))
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how the camera stored it: the inverse of the correction
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, header = decode(saved(stored, kind, exif=exif), Size(16, 32, 1))
    assert (header.height, header.width) == (16, 32)
    assert pixels[:6, :6].min() > 200
    assert pixels[10:, 12:].max() < 50
    assert header.remarks == (() if orientation == 1 else ("Images turned as EXIF says",))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_an_orientation_that_only_xmp_says_is_applied(kind):
    upright = picture(6, 20, 20)
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    content = saved(turned, kind, quality=100, xmp=xmp)
    pixels, header = decode(content, COLOUR)
    plain, _ = decode(saved(turned, kind, quality=100), COLOUR)
    np.testing.assert_array_equal(pixels, np.rot90(plain, -1))
    assert header.remarks == ("Images turned as EXIF says",)


def test_sixteen_bits_are_scaled():
    levels = np.array([[0, 257, 128], [65535, 32768, 300]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        pixels, header = decode(saved(Image.fromarray(levels), kind), Size(2, 3, 1))
        np.testing.assert_array_equal(pixels[..., 0], np.rint(levels / 257).astype(np.uint8))
        assert header.remarks == ("Images whose 16 bits were scaled to 8",)
        assert not header.coloured


def test_more_than_sixteen_bits_are_refused():
    with pytest.raises(UnreadableError, match="32 bits; allowed are 8 and 16"):
        decode(saved(Image.fromarray(np.full((2, 2), 70000, dtype=np.int32)), "TIFF"), Size(2, 2, 1))
    with pytest.raises(UnreadableError, match="floating-point numbers; allowed are 8 and 16"):
        decode(saved(Image.fromarray(np.ones((2, 2), dtype=np.float32)), "TIFF"), Size(2, 2, 1))


def test_cmyk_becomes_rgb():
    image = picture(4, mode="CMYK")
    content = saved(image, "TIFF")
    pixels, header = decode(content, COLOUR)
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))
    assert header.remarks == ("CMYK images made RGB",)
    jpeg = decode(saved(image, "JPEG", quality=95), COLOUR)[0]
    assert np.abs(jpeg.astype(int) - pixels).mean() < 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    pixels, header = decode(content, COLOUR)
    assert np.abs(pixels.astype(int) - [255, 0, 0]).max() < 8
    assert header.remarks == ("Animated images, of which the first frame was taken",)


def test_transparency_is_laid_on_white():
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    pixels, header = decode(saved(image), COLOUR)
    assert pixels.min() == 255
    assert header.remarks == ("Transparent images laid on white",)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def small_file_of_a_large_image(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<html>not found</html>", "it is no image of a kind that is known here"),
        (saved(picture(1, 64, 64), "JPEG")[:-200], r"it is damaged \(image file is truncated"),
        (saved(picture(1, 64, 64))[:-100], "it is damaged"),
        (small_file_of_a_large_image(100_000, 100_000), "a decompression bomb"),
        (
            small_file_of_a_large_image(10_000, 10_000),
            "it claims 10000 x 10000 pixels, more than the 89,478,485 allowed",
        ),
        (saved(picture(1, 64, 64), "TIFF")[:300], "it is"),
    ],
    ids=["empty", "page", "truncated JPEG", "truncated PNG", "bomb", "smaller bomb", "truncated TIFF"],
)
def test_files_that_cannot_be_used(content, reason):
    with pytest.raises(UnreadableError, match=reason):
        decode(content, COLOUR)


def test_a_file_is_read_or_refused_by_its_name(tmp_path):
    picture(5).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", COLOUR), np.asarray(picture(5)))
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(DataError, match=r"b\.png: it is no image"):
        read_image(tmp_path / "b.png", COLOUR)
    with pytest.raises(DataError, match=r"c\.png: No such file"):
        read_image(tmp_path / "c.png", COLOUR)
