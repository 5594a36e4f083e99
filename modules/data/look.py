"""A look at a data set before training: figures, and a few images of each class."""

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modules.data.arrays import open_arrays
from modules.data.facts import Facts, read_facts
from modules.randomness import words
from modules.records import DataRecord, Record

_CLASSES = 40  # that are shown
_IMAGES = 12  # of each class
_NAMED = 50  # of what was left out
_SMALL, _LARGE = 48, 64  # pixels: smaller images are enlarged, larger ones reduced
_GAP = 2


class ClassLook(Record):
    """A class: its images in each part, and some of those in training, side by side."""

    name: str
    counts: tuple[int, ...]  # in the parts' order
    strip: str  # PNG, base64; "" where it is not shown


class Look(Record):
    """What a person should see of a data set."""

    data: DataRecord
    facts: Facts  # of what was left out the first only
    num_left_out: int
    classes: tuple[ClassLook, ...]

    def contact_sheet(self) -> bytes:
        """The classes' strips below each other, as PNG."""
        strips = [Image.open(io.BytesIO(base64.b64decode(one.strip))) for one in self.classes if one.strip]
        height = sum(strip.height + _GAP for strip in strips)
        sheet = Image.new("RGB", (max(strip.width for strip in strips), height), "white")
        top = 0
        for strip in strips:
            sheet.paste(strip, (0, top))
            top += strip.height + _GAP
        return _png(sheet)


def look_at(home: Path, record: DataRecord) -> Look:
    """Draw a few training images of each class, by the seedless order of their identities: always the same ones."""
    facts, arrays = read_facts(home, record), open_arrays(home, record)
    train = arrays.indices("train")
    train = train[np.argsort(words("look", arrays.identities[train]), kind="stable")]
    labels = arrays.labels[train]
    classes = []
    for label, name in enumerate(record.classes):
        strip = ""
        if label < _CLASSES:
            chosen = train[labels == label][:_IMAGES]
            strip = base64.b64encode(_png(_strip(arrays.images[chosen]))).decode()
        classes.append(ClassLook(name=name, counts=tuple(count[label] for count in facts.counts.values()), strip=strip))
    shortened = facts.updated(left_out=facts.left_out[:_NAMED])
    return Look(data=record, facts=shortened, num_left_out=len(facts.left_out), classes=tuple(classes))


def _strip(images: NDArray[np.uint8]) -> Image.Image:
    tiles = [_tile(image) for image in images]
    strip = Image.new("RGB", (_IMAGES * (tiles[0].width + _GAP), tiles[0].height), "white")
    for place, tile in enumerate(tiles):
        strip.paste(tile, (place * (tile.width + _GAP), 0))
    return strip


def _tile(image: NDArray[np.uint8]) -> Image.Image:
    tile = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).convert("RGB")
    longest = max(tile.size)
    if longest > _LARGE:
        tile.thumbnail((_LARGE, _LARGE))
    elif longest <= _SMALL // 2:
        factor = _SMALL // longest
        tile = tile.resize((tile.width * factor, tile.height * factor), Image.Resampling.NEAREST)
    return tile


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
