"""What came to nothing: an edit that does not fit, a training that failed, a look that a worker died of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failed:
    """In place of what would have come."""

    reason: str
