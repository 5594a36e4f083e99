"""What worker processes do for a set of image files: look at headers, and decode into rows of an array on disk."""

from pathlib import Path
from typing import Any

import numpy as np

from modules.data.files import explained_read_errors
from modules.data.image_file import Header, Size, UnreadableError, decode, read_header
from modules.workers.jobs import Report, job

REVISION = 2  # 2: a file that the system does not read is no result


@job
def read_headers(files: list[list[Any]], report: Report) -> dict[str, Any]:
    """What each of `files` (path, offset, bytes) says of itself, or why it cannot be read."""
    return {"found": [_told(lambda file=file: read_header(_content(*file))) for file in files]}


@job
def decode_files(
    files: list[list[Any]], images: str, first: int, height: int, width: int, channels: int, report: Report
) -> dict[str, Any]:
    """Decode `files` into the rows from `first` on of the array at `images`; answers as `read_headers` does."""
    size = Size(height, width, channels)
    rows = np.load(images, mmap_mode="r+")[first : first + len(files)]

    def decoded(row: int, file: list[Any]) -> Header:
        rows[row], header = decode(_content(*file), size)
        return header

    return {"found": [_told(lambda row=row, file=file: decoded(row, file)) for row, file in enumerate(files)]}


def _content(path: str, offset: int | None, size: int) -> bytes:
    """DataError where the system does not give it: that may pass, and what came of such a reading would be kept.

    A missing right is kept: giving it changes the file's time, so that it is looked at again.
    """
    with explained_read_errors(Path(path)):
        try:
            with open(path, "rb") as file:
                if offset is None:
                    return file.read()
                file.seek(offset)
                return file.read(size)
        except PermissionError as error:
            raise UnreadableError(f"it cannot be read: {error.strerror}") from error


def _told(look: Any) -> list[Any] | str:
    try:
        header: Header = look()
    except UnreadableError as error:
        return str(error)
    return [header.height, header.width, header.coloured, list(header.remarks)]
