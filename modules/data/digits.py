"""The 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn."""

import numpy as np

from modules.data.images import RawImages

_LEVELS = 16  # the file's pixels go from 0 to 16


def read_digits() -> RawImages:
    """The bundled digits; without a test set of their own."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return RawImages(
        train_images=np.rint(bunch.images[..., None] * (255 / _LEVELS)).astype(np.uint8),
        train_labels=bunch.target.astype(np.int64),
        classes=tuple(str(name) for name in bunch.target_names),
    )
