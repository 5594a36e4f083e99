import io
import resource
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from modules.data.image_file import Size, decode
from modules.deployment.server.errors import RequestError
from modules.deployment.server.images import read_image

SHAPE = (8, 6, 3)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


NOISE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)))


def test_an_image_of_the_models_size_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(pixels)), SHAPE, 1000), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_taken(mode):
    image = Image.new(mode, (20, 30), 1)
    assert read_image(encoded(image), SHAPE, 1000).shape == SHAPE
    assert read_image(encoded(image), (8, 6, 1), 1000).shape == (8, 6, 1)


@pytest.mark.parametrize("size", [(6, 8), (7, 50), (90, 31)])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *((mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *((mode, "JPEG") for mode in ("L", "RGB", "CMYK")),
    ],
)
def test_the_server_sees_what_training_saw(mode, kind, size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    elif mode == "CMYK":
        image = Image.fromarray(noise, "CMYK")
    else:
        image = Image.fromarray(noise).convert(mode)
    content = encoded(image, kind)
    for shape in (SHAPE, (8, 6, 1)):
        expected, _ = decode(content, Size(*shape))
        np.testing.assert_array_equal(read_image(content, shape, 10_000), expected)


@pytest.mark.parametrize("size", [(6, 8), (7, 50), (90, 31), (300, 200)])
@pytest.mark.parametrize("kind", ["several pictures", "turned by XMP", "turned by XMP, PNG"])
def test_the_server_sees_what_training_saw_in_files_of_phones_and_photographers(kind, size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    if kind == "several pictures":
        content = encoded(image, "MPO", save_all=True, append_images=[image.rotate(180)])
        assert Image.open(io.BytesIO(content)).format == "MPO"
    elif kind == "turned by XMP":
        content = encoded(image, "JPEG", xmp=b'<rdf:Description tiff:Orientation="6"/>')
    else:
        content = encoded(image, "PNG", pnginfo=xmp_of_png('<rdf:Description tiff:Orientation="6"/>'))
    for shape in (SHAPE, (8, 6, 1), (size[1], size[0], 3)):
        expected, _ = decode(content, Size(*shape))
        np.testing.assert_array_equal(read_image(content, shape, 100_000), expected)


def xmp_of_png(text):
    information = PngImagePlugin.PngInfo()
    information.add_itxt("XML:com.adobe.xmp", text)
    return information


def test_a_photograph_is_turned_upright():
    image = Image.new("RGB", (60, 40))
    image.paste((255, 255, 255), (0, 0, 30, 40))
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down: what was left is right
    found = read_image(encoded(image, "JPEG", exif=turned), (8, 12, 3), 10_000)
    assert found[:, :4].max() < 10
    assert found[:, 8:].min() > 245


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"", 415, "no image"),
        (b"<html></html>", 415, "no image"),
        (NOISE[: len(NOISE) // 2], 415, "no image"),
        (encoded(Image.new("RGB", (20, 20)), "GIF"), 415, "JPEG and PNG"),
        (encoded(Image.new("L", (1, 1))), 400, "1 x 1 pixels; allowed are 4 or more each way"),
        (encoded(Image.new("L", (3, 300))), 400, "3 x 300 pixels"),
        (encoded(Image.new("1", (10_000, 10_000))), 413, "allowed are 90,000 in all"),
    ],
)
def test_what_is_no_image_of_a_sensible_size(content, status, said):
    with pytest.raises(RequestError, match=said) as refused:
        read_image(content, SHAPE, 90_000)
    assert refused.value.status == status


@pytest.mark.parametrize("side", [6_000, 12_000, 30_000])
def test_a_decompression_bomb_is_refused_by_its_head(side):
    small = encoded(Image.new("L", (30, 30)))
    head = small[12:16] + struct.pack(">II", side, side) + small[24:29]
    bomb = small[:12] + head + struct.pack(">I", zlib.crc32(head)) + small[33:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RequestError, match="allowed are 25,000,000 in all") as refused:
        read_image(bomb, SHAPE, 25_000_000)
    assert refused.value.status == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
