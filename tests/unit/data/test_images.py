import numpy as np
import pytest

from modules.data.images import RawImages
from modules.errors import DataError


def raw(num=4, labels=(0, 0, 1, 1), classes=("cat", "dog"), size=(3, 3, 1), **test):
    return RawImages(np.zeros((num, *size), np.uint8), np.asarray(labels, np.int64), classes, **test)


def test_a_sound_set_is_taken():
    assert raw().test_images is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num": 3}, "the training set has 3 images and 4 labels; each image needs one"),
        ({"num": 0, "labels": ()}, "the training set is empty"),
        ({"size": (3, 0, 1)}, r"images are 3 x 0 x 1 \(height x width x channels\); no side may be 0"),
        ({"labels": (0, 0, 1, 2)}, "has the label 2; allowed are 0 to 1"),
        ({"labels": (0, 0, 1, -1)}, "has the label -1; allowed are 0 to 1"),
        ({"labels": (0, 0, 0, 1)}, "class 'dog' has a single image; each class needs at least two"),
        ({"labels": (0, 0, 0, 0)}, "class 'dog' has no image; each class needs at least two"),
        ({"labels": (0, 0, 0, 0), "classes": ("cat",)}, "there is one class, 'cat'"),
        ({"test_labels": np.zeros(1, np.int64)}, "images and labels; one of them is missing"),
        (
            {"test_images": np.zeros((1, 3, 4, 1), np.uint8), "test_labels": np.zeros(1, np.int64)},
            r"the test images are 3 x 4 x 1 and the training images 3 x 3 x 1 .* one size",
        ),
        (
            {"test_images": np.zeros((0, 3, 3, 1), np.uint8), "test_labels": np.zeros(0, np.int64)},
            "the test set is empty",
        ),
        (
            {"test_images": np.zeros((2, 3, 3, 1), np.uint8), "test_labels": np.zeros(1, np.int64)},
            "the test set has 2 images and 1 labels",
        ),
    ],
)
def test_an_unusable_set_is_refused_in_a_sentence(arguments, message):
    with pytest.raises(DataError, match=message):
        raw(**arguments)


def test_a_reader_of_ours_must_give_the_right_types():
    with pytest.raises(TypeError, match="uint8 images of four dimensions"):
        RawImages(np.zeros((2, 3, 3), np.uint8), np.zeros(2, np.int64), ("a", "b"))
