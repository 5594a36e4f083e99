import errno
import pickle

import numpy as np
import pytest

from modules.data import array_files
from modules.data.array_files import read_arrays
from modules.data.mapped import Mapped
from modules.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)
LABELS = np.arange(12) % 3


@pytest.fixture
def npz(tmp_path):
    def npz(**arrays):
        np.savez(tmp_path / "set.npz", **arrays)
        return str(tmp_path / "set.npz")

    return npz


def test_one_file_with_all_parts(npz):
    raw = read_arrays(
        npz(x_train=IMAGES, y_train=LABELS, x_val=IMAGES[:6], y_val=LABELS[:6], x_test=IMAGES[:3], y_test=LABELS[:3])
    ).read()
    np.testing.assert_array_equal(raw.train_images, IMAGES[..., None])
    assert [len(labels) for _, _, labels in raw.pieces()] == [12, 6, 3]
    assert raw.classes == ("0", "1", "2")


def test_each_array_is_unpacked_once(npz, monkeypatch):
    unpacked, get = [], array_files._Arrays.__getitem__
    monkeypatch.setattr(array_files._Arrays, "__getitem__", lambda self, name: unpacked.append(name) or get(self, name))
    read_arrays(npz(images=IMAGES, labels=LABELS, other=IMAGES)).read()
    assert unpacked == ["images", "labels"]


def test_a_file_that_may_not_be_read(npz, monkeypatch):
    def refuse(path, **arguments):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = npz(images=IMAGES, labels=LABELS)
    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(DataError, match=rf"{path} cannot be read: Permission denied; allowed are readable"):
        read_arrays(path)


def test_a_folder_of_files_is_mapped(tmp_path):
    np.save(tmp_path / "images.npy", np.stack([IMAGES] * 3, axis=3))
    np.save(tmp_path / "labels.npy", LABELS.astype(np.uint8)[:, None])
    raw = read_arrays(str(tmp_path)).read()
    assert isinstance(raw.train_images, Mapped)
    assert raw.train_images.shape == (12, 6, 5, 3)


def test_texts_and_odd_numbers_as_labels(npz):
    raw = read_arrays(npz(images=IMAGES, labels=np.array(["dog", "cat", "größe"])[LABELS])).read()
    assert raw.classes == ("cat", "dog", "größe")
    assert raw.train_labels[:3].tolist() == [1, 0, 2]
    assert read_arrays(npz(images=IMAGES, labels=np.array([7, -1, 30])[LABELS])).read().classes == ("-1", "7", "30")


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (IMAGES / 255, IMAGES),
        ((IMAGES / 255).astype(np.float32), IMAGES),
        (IMAGES.astype(np.uint16) * 257, IMAGES),
        (IMAGES > 100, (IMAGES > 100) * 255),
    ],
)
def test_other_numbers_are_scaled(npz, images, expected):
    np.testing.assert_array_equal(read_arrays(npz(images=images, labels=LABELS)).read().train_images[..., 0], expected)


def test_channels_may_come_first(npz):
    images = np.random.default_rng(1).integers(0, 256, (12, 3, 8, 9), dtype=np.uint8)
    raw = read_arrays(npz(images=images, labels=LABELS)).read()
    np.testing.assert_array_equal(raw.train_images, images.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, r"has no images to train on \(it has pictures\); allowed are train_images"),
        ({"images": IMAGES}, "there is no array labels, which images needs"),
        (
            {"images": IMAGES * 1000.5, "labels": LABELS},
            "floats from 0 to .*; allowed are floats from 0 to 1, or uint8",
        ),
        ({"images": IMAGES / 255 * np.nan, "labels": LABELS}, "floats from nan to nan; allowed are floats from 0 to 1"),
        ({"images": IMAGES.astype(np.int64), "labels": LABELS}, "holds int64; allowed are uint8, uint16"),
        ({"images": IMAGES.reshape(12, -1), "labels": LABELS}, "images is 12 x 30; allowed are N x H x W"),
        ({"images": IMAGES, "labels": LABELS.astype(float)}, "labels is 12 of float64; allowed is one whole number"),
        ({"images": IMAGES, "labels": np.eye(3)[LABELS]}, "labels is 12 x 3 of float64"),
        ({"images": IMAGES, "labels": LABELS[:5]}, "12 images and 5 labels"),
        ({"images": IMAGES, "labels": LABELS.astype(object)}, "labels of .* cannot be read .* plain arrays of numbers"),
    ],
)
def test_arrays_that_are_otherwise(npz, arrays, message):
    with pytest.raises(DataError, match=message):
        read_arrays(npz(**arrays)).read()


def test_files_that_are_otherwise(tmp_path):
    with pytest.raises(DataError, match=r"say data\.root=PATH"):
        read_arrays().read()
    with pytest.raises(DataError, match="does not exist; it must be a"):
        read_arrays(str(tmp_path / "nowhere")).read()
    (tmp_path / "set.npz").write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(DataError, match=r"is no sound \.npz file"):
        read_arrays(str(tmp_path / "set.npz")).read()
    np.save(tmp_path / "images.npy", IMAGES)
    np.save(tmp_path / "labels.npy", LABELS)
    (tmp_path / "images.npy").write_bytes((tmp_path / "images.npy").read_bytes()[:150])
    with pytest.raises(DataError, match=r"images of .* cannot be read"):
        read_arrays(str(tmp_path)).read()
