"""How large the images of a set are made, chosen from what their files say."""

import statistics
from collections.abc import Sequence

from modules.data.image_file import Header, Size

_MOST = 128  # pixels along a side; what is larger costs a processor minutes an epoch
_STEPS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, _MOST)


def size_for(headers: Sequence[Header], side: int | None = None, channels: int | None = None) -> Size:
    """Images of one size that is not too large stay as they are; others become squares.

    The side is the largest step of a ladder that the median short side reaches: a ladder, so that a folder that grows
    keeps its size, since an image's content and with it its part depend on it. Colour if any image has some.
    """
    channels = channels or (3 if any(header.coloured for header in headers) else 1)
    if side is not None:
        return Size(side, side, channels)
    sizes = {(header.height, header.width) for header in headers}
    height, width = next(iter(sizes))
    if len(sizes) == 1 and max(height, width) <= _MOST:
        return Size(height, width, channels)
    median = statistics.median(min(header.height, header.width) for header in headers)
    step = max([step for step in _STEPS if step <= median], default=_STEPS[0])
    return Size(step, step, channels)
