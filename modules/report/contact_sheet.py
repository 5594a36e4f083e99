"""Pictures of suspected labels, for a person who decides what they show."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modules.data.corrections import SuspectedLabel
from modules.records import Record
from modules.report.palette import DARK, LIGHT, variables
from modules.store import write_text

_SIDE = 64  # pixels, of the larger side; smaller images are enlarged by whole numbers
_MOST = 2_000  # pictures on a sheet


class Picture(Record):
    """An image as a data address, and what is known of its label."""

    address: str
    suspect: SuspectedLabel


def pictures_of(images: NDArray[np.uint8], suspects: Sequence[SuspectedLabel]) -> tuple[Picture, ...]:
    """The pictures of suspects, which say where in `images` (N x H x W x C) they are."""
    return tuple(Picture(address=_address(images[one.index]), suspect=one) for one in suspects)


def write_contact_sheet(
    path: Path, title: str, corrections: str, images: NDArray[np.uint8], suspects: Sequence[SuspectedLabel]
) -> None:
    """One page that shows them, with the identities by which the file `corrections` names them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("contact_sheet.html").render(
        title=title,
        corrections=corrections,
        pictures=pictures_of(images, suspects[:_MOST]),
        num_left_out=max(0, len(suspects) - _MOST),
        light=variables(LIGHT),
        dark=variables(DARK),
    )
    write_text(path, page)


def _address(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    if max(picture.size) > _SIDE:
        picture.thumbnail((_SIDE, _SIDE))
    else:
        factor = _SIDE // max(picture.size)
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
