import errno
import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from modules.data.idx import read_idx, read_idx_folder
from modules.data.known import read_fashion_mnist, read_mnist
from modules.errors import DataError
from tests.unit.data.conftest import idx_bytes, write_file

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"


@pytest.mark.parametrize("zipped", [True, False])
def test_images_and_labels_come_back_as_they_were_written(write_idx, zipped):
    images = np.arange(20 * 5 * 4, dtype=np.uint8).reshape(20, 5, 4)
    labels = np.arange(20) % 10
    folder = write_idx(zipped=zipped, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    raw = read_mnist(str(folder)).read()
    np.testing.assert_array_equal(raw.train_images, images[..., None])
    np.testing.assert_array_equal(raw.train_labels, labels)
    np.testing.assert_array_equal(raw.test_images, images[..., None])
    np.testing.assert_array_equal(raw.test_labels, labels)
    assert raw.classes == tuple("0123456789")


def test_fashion_mnist_has_its_own_names(write_idx):
    assert read_fashion_mnist(str(write_idx())).read().classes[9] == "Ankle boot"


def test_the_home_folder_may_be_abbreviated(write_idx, monkeypatch):
    folder = write_idx()
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(read_mnist("~/idx").read().train_labels) == 200


@pytest.mark.parametrize("root", [None, ""])
def test_a_missing_root_says_how_to_give_it(root):
    with pytest.raises(DataError, match=r"data=mnist needs .* say data\.root=DIR"):
        read_mnist(root).read()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"data\.root=.*nowhere does not exist; it must be the folder"):
        read_mnist(str(tmp_path / "nowhere")).read()


def test_a_root_that_is_a_file(write_idx):
    with pytest.raises(DataError, match="is not a folder"):
        read_mnist(str(write_idx() / TRAIN_IMAGES)).read()


@pytest.mark.parametrize("name", [TRAIN_IMAGES, TEST_LABELS])
def test_a_missing_file(write_idx, name):
    folder = write_idx()
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"has neither {name} nor {name.removesuffix('.gz')}; all four"):
        read_mnist(str(folder)).read()


def test_a_gzip_file_that_was_cut_off(write_idx):
    path = write_idx() / TRAIN_IMAGES
    content = path.read_bytes()
    for length in (len(content) - 1, len(content) // 2, 12):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="is cut off"):
            read_idx(path, 3)


def test_a_gzip_file_with_altered_bytes(write_idx):
    path = write_idx() / TRAIN_IMAGES
    content = bytearray(path.read_bytes())
    for place in (0, len(content) // 2, len(content) - 6):  # header, data, checksum
        altered = content.copy()
        altered[place] ^= 0xFF
        path.write_bytes(altered)
        with pytest.raises(DataError, match=r"is not a sound gzip file|is cut off"):
            read_idx(path, 3)


def test_a_file_that_is_no_gzip_despite_its_name(tmp_path):
    path = tmp_path / "plain.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="is not a sound gzip file"):
        read_idx(path, 3)


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\0\0\x0d\x03" + bytes(12), struct.pack(">4B2I", 0, 0, 8, 2, 0, 0)])
def test_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match="an IDX file of bytes in 3 dimensions begins with 00000803"):
        read_idx(path, 3)


def test_images_where_labels_should_be(write_idx):
    folder = write_idx()
    (folder / TEST_LABELS).write_bytes((folder / TRAIN_IMAGES).read_bytes())
    with pytest.raises(DataError, match="begins with 00000803; an IDX file of bytes in 1 dimensions"):
        read_mnist(str(folder)).read()


def test_a_header_that_is_cut_off(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(bytes((0, 0, 8, 3, 0, 0)))
    with pytest.raises(DataError, match="ends within its header, after 6 of 16 bytes"):
        read_idx(path, 3)


@pytest.mark.parametrize("difference", [-1, 1])
def test_more_or_fewer_bytes_than_promised(tmp_path, difference):
    path = tmp_path / "labels"
    path.write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 5) + bytes(5 + difference))
    with pytest.raises(DataError, match=f"holds {5 + difference} bytes of data where its header promises 5"):
        read_idx(path, 1)


def test_a_promise_of_more_than_any_memory_is_just_a_wrong_header(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3) + bytes(9))
    with pytest.raises(DataError, match="holds 9 bytes of data where its header promises"):
        read_idx(path, 3)


def test_images_and_labels_that_differ_in_number(write_idx):
    folder = write_idx(train_labels=np.arange(199) % 10)
    with pytest.raises(DataError, match=r"holds 200 images and .* 199 labels; each image needs one"):
        read_mnist(str(folder)).read()


def test_an_empty_set(write_idx):
    folder = write_idx(num_train=0)
    with pytest.raises(DataError, match="the training set is empty"):
        read_mnist(str(folder)).read()


def test_a_label_that_no_class_has(write_idx):
    folder = write_idx(train_labels=np.full(200, 12))
    with pytest.raises(DataError, match="has the label 12; allowed are 0 to 9"):
        read_mnist(str(folder)).read()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_cannot_be_read(write_idx, monkeypatch, zipped):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    folder = write_idx(zipped=zipped)
    monkeypatch.setattr(*((gzip, "open") if zipped else (Path, "read_bytes")), refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read_mnist(str(folder)).read()


def test_a_gzip_file_of_several_members_is_read_whole(tmp_path):
    path = tmp_path / "labels.gz"
    content = struct.pack(">4BI", 0, 0, 8, 1, 5) + bytes(range(5))
    path.write_bytes(gzip.compress(content[:9]) + gzip.compress(content[9:]))
    assert read_idx(path, 1).tolist() == [0, 1, 2, 3, 4]


def test_any_folder_of_idx_files(write_idx):
    folder = write_idx()
    for kind in ("images-idx3", "labels-idx1"):
        shutil.copy(folder / f"t10k-{kind}-ubyte.gz", folder / f"val-{kind}-ubyte.gz")
    raw = read_idx_folder(str(folder)).read()
    assert [(given, len(labels)) for given, _, labels in raw.pieces()] == [
        ("train", 200),
        ("validation", 40),
        ("test", 40),
    ]
    assert raw.classes == tuple("0123456789")


def test_idx_images_may_have_channels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    write_file(tmp_path / "train-images", idx_bytes(images))
    write_file(tmp_path / "train-labels", idx_bytes(np.arange(6) % 2))
    np.testing.assert_array_equal(read_idx_folder(str(tmp_path)).read().train_images, images)


def test_channels_of_idx_images_may_come_first(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 9), dtype=np.uint8)
    write_file(tmp_path / "train-images", idx_bytes(images))
    write_file(tmp_path / "train-labels", idx_bytes(np.arange(6) % 2))
    np.testing.assert_array_equal(read_idx_folder(str(tmp_path)).read().train_images, images.transpose(0, 2, 3, 1))


def test_idx_images_of_other_channels(tmp_path):
    write_file(tmp_path / "train-images", idx_bytes(np.zeros((6, 4, 5, 2))))
    write_file(tmp_path / "train-labels", idx_bytes(np.arange(6) % 2))
    with pytest.raises(DataError, match=r"train-images\.gz is 6 x 4 x 5 x 2; allowed are N x H x W, "):
        read_idx_folder(str(tmp_path)).read()


@pytest.mark.parametrize("read", [read_mnist, read_idx_folder])
def test_a_folder_that_may_not_be_searched(write_idx, monkeypatch, read):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    folder = write_idx()
    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(DataError, match=rf"{folder}.* cannot be read: Permission denied; allowed are readable"):
        read(str(folder))


def test_folders_of_idx_files_that_are_otherwise(write_idx, tmp_path):
    with pytest.raises(DataError, match=r"data=idx needs .* say data\.root=DIR"):
        read_idx_folder().read()
    with pytest.raises(DataError, match="has no file of training images"):
        read_idx_folder(str(tmp_path)).read()
    folder = write_idx()
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="must have one file of labels for train; it has none"):
        read_idx_folder(str(folder)).read()
