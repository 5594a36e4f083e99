"""A batch that grows by a factor."""

REVISION = 2  # 2: a slice goes on with the batch that the one before ended with


def grown(first: int, factor: float, times: int, max_batch_size: int) -> int:
    """`first` multiplied `times` times by `factor`, up to `max_batch_size`; never less than `first`."""
    size = float(first)
    for _ in range(times):
        size = min(size * factor, float(max_batch_size))
    return max(first, round(size))
