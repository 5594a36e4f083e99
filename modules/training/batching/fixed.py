"""A batch size that stays."""

from typing import ClassVar

from modules.training.progress import Progress

REVISION = 1


class Fixed:
    """Every batch is as large as the first."""

    grows: ClassVar[bool] = False
    needs_noise_scale: ClassVar[bool] = False

    def batch_size(self, first: int, progress: Progress) -> int:
        """The size of the next batch."""
        return first
