import errno
import tarfile

import numpy as np
import pytest

from modules.data.archive import Archive
from modules.data.cifar10 import read_cifar10
from modules.data.files import FileSet
from modules.errors import DataError
from tests.unit.data.pictures import write_pictures


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def binary(tmp_path):
    """Six files of twenty records; in each image red is the label, green the row and blue the column."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rows, columns = np.mgrid[:32, :32].astype(np.uint8)
    labels = np.arange(20, dtype=np.uint8) % 10
    records = np.stack(
        [np.concatenate([[label], np.full(1024, label), rows.ravel(), columns.ravel()]) for label in labels]
    )
    for name in ["test_batch", *(f"data_batch_{number}" for number in range(1, 6))]:
        (folder / f"{name}.bin").write_bytes(records.astype(np.uint8).tobytes())
    (folder / "batches.meta.txt").write_text("airplane\n")
    return folder


def check(raw):
    assert raw.train_images.shape == (100, 32, 32, 3)
    assert raw.test_images.shape == (20, 32, 32, 3)
    assert raw.train_labels.tolist() == [*range(10)] * 10
    assert raw.train_images[13, 5, 7].tolist() == [3, 5, 7]
    assert (raw.classes[0], raw.classes[9]) == ("airplane", "truck")


def test_the_binary_version_in_a_folder_or_the_one_above_or_an_archive(binary, tmp_path):
    check(read_cifar10(str(binary)).read())
    check(read_cifar10(str(tmp_path)).read())
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(binary, arcname="cifar-10-batches-bin")
    check(read_cifar10(str(tmp_path / "cifar-10-binary.tar.gz")).read())


def test_what_was_downloaded_is_at_hand(binary, home):
    with pytest.raises(DataError, match=r"say data\.root=DIR, or data\.download=true"):
        read_cifar10()
    (home / "downloads" / "cifar10").mkdir(parents=True)  # as a download leaves it that broke off
    with pytest.raises(DataError, match=r"say data\.root=DIR, or data\.download=true"):
        read_cifar10()
    with tarfile.open(home / "downloads" / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(binary, arcname="cifar-10-batches-bin")
    check(read_cifar10().read())


def test_image_files_in_folders_or_in_an_archive(tmp_path):
    root = write_pictures(tmp_path / "set", {"train/cat": 1, "test/frog": 1}, height=32, width=32)
    files = read_cifar10(str(root))
    assert isinstance(files, FileSet)
    assert [(file.label, file.given) for file in files.files] == [(3, "train"), (6, "test")]
    assert (files.image_size, files.channels) == (32, 3)
    (tmp_path / "archived").mkdir()
    with tarfile.open(tmp_path / "archived" / "set.tar.gz", "w:gz") as tar:
        tar.add(root, arcname="set")
    archive = read_cifar10(str(tmp_path / "archived"))
    assert isinstance(archive, Archive)
    with archive.opened(tmp_path) as inner:
        assert [(file.label, file.given) for file in inner.files] == [(3, "train"), (6, "test")]


def test_what_is_no_cifar10(binary, tmp_path):
    write_pictures(tmp_path / "other", {"train/cat": 1, "test/whale": 1})
    with pytest.raises(DataError, match="has a folder 'whale'; allowed are airplane"):
        read_cifar10(str(tmp_path / "other"))
    (tmp_path / "set.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"set\.zip is not a folder; it must be a folder or one of \.tar"):
        read_cifar10(str(tmp_path / "set.zip"))
    with pytest.raises(DataError, match=r"nowhere does not exist; it must be a folder or one of \.tar"):
        read_cifar10(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no CIFAR-10; allowed are"):
        read_cifar10(str(tmp_path / "empty"))
    (binary / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_3\.bin cannot be read: No such file"):
        read_cifar10(str(binary)).read()
    (binary / "data_batch_3.bin").write_bytes(b"12345")
    with pytest.raises(DataError, match=r"data_batch_3\.bin holds 5 bytes; .* 3073 for each image"):
        read_cifar10(str(binary)).read()
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"broken\.tar\.gz is no sound archive"):
        read_cifar10(str(tmp_path / "broken.tar.gz"))


def test_an_archive_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / "set.tar.gz").touch()
    monkeypatch.setattr(tarfile, "open", refuse)
    with pytest.raises(DataError, match=r"set\.tar\.gz cannot be read: Permission denied; allowed are readable"):
        read_cifar10(str(tmp_path / "set.tar.gz"))
