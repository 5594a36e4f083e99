"""From files to the record: decoded by processes, mapped from the store, nothing lost and nothing unsaid."""

import errno
import gzip
import io
import os
import re
import resource
import shutil
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.data import decoded as decoded_module
from modules.data import decoding as decoding_module
from modules.data.arrays import image_names, open_arrays
from modules.data.decoded import read_files
from modules.data.facts import read_facts
from modules.data.folder import read_folder
from modules.data.image_file import Size, decode
from modules.data.load import load_data
from modules.data.look import look_at
from modules.errors import ConfigError, DataError
from modules.records import Part
from modules.store import Store
from modules.workers.jobs import find_job
from modules.workers.pool import WorkerKilledError, WorkerPool
from tests.unit.data.pictures import picture, write_pictures

FRACTIONS = (0.2, 0.2, None)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A set with parts of its own and some trouble; nothing may be written into it."""
    root = tmp_path_factory.mktemp("set")
    write_pictures(root, {"train/cat": 12, "train/dog": 12})
    write_pictures(root, {"validation/cat": 12, "validation/dog": 12}, first=100)
    write_pictures(root, {"test/cat": 5, "test/dog": 5}, first=200, width=30)
    shutil.copy(root / "test/dog/003.png", root / "train/cat/copy of test.png")
    shutil.copy(root / "test/dog/004.png", root / "validation/cat/copy of test.png")
    shutil.copy(root / "validation/dog/001.png", root / "train/dog/copy of validation.png")
    (root / "train/cat/empty.png").touch()
    (root / "train/cat/page.jpg").write_text("<html>")
    (root / "train/dog/notes.txt").write_text("my notes")
    picture(300).save(root / "train/dog/cut.jpg", quality=95)
    os.truncate(root / "train/dog/cut.jpg", 500)
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def load(root: Path, home: Path, fractions=FRACTIONS, **arguments):
    reader = Part(target="modules.data.folder.read_folder", arguments={"root": str(root), **arguments})
    return load_data(reader, "small", fractions, 0, home, Store(home / "store"))


@pytest.fixture(scope="module")
def record(root, home):
    return load(root, home)


def test_each_image_is_known_by_its_file(root, home, record):
    arrays, names = open_arrays(home, record), image_names(home, record)
    assert len(names) == len(set(names)) == len(arrays.labels)
    for index in (0, 13, len(names) - 1):
        expected, _ = decode((root / names[index]).read_bytes(), Size(*arrays.images.shape[1:]))
        np.testing.assert_array_equal(arrays.images[index], expected)
    assert "train/cat/copy of test.png" not in names


def test_the_images_are_those_of_the_files(root, home):
    raw = read_files(read_folder(str(root)), Store(home / "store"))
    assert raw.train_images.shape[1:] == (20, 20, 3)
    for name, image in zip(raw.names, np.concatenate([images for _, images, _ in raw.pieces()]), strict=True):
        with Image.open(root / name) as expected:
            np.testing.assert_array_equal(image, expected.resize((20, 20), Image.Resampling.BILINEAR))
    assert raw.train_labels.tolist() == [0] * 13 + [1] * 13


def test_given_parts_stay_what_they_are_and_validation_is_steer_and_confirm(record, home):
    arrays = open_arrays(home, record)
    assert record.num_images == {"train": 24, "steer": 12, "confirm": 12, "test": 10}
    assert arrays.indices("train").tolist() == list(range(24))
    assert arrays.indices("test").tolist() == list(range(48, 58))
    assert sorted([*arrays.indices("steer"), *arrays.indices("confirm")]) == list(range(24, 48))


def test_all_that_is_left_out_is_named(record, home):
    left_out = dict(read_facts(home, record).left_out)
    assert left_out.pop("train/dog/cut.jpg").startswith("it is damaged (")
    assert left_out == {
        "train/cat/empty.png": "it is empty",
        "train/cat/page.jpg": "it is no image of a kind that is known here",
        "train/dog/notes.txt": "not named as an image",
        "train/cat/copy of test.png": "the same as test/dog/003.png",
        "train/dog/copy of validation.png": "the same as validation/dog/001.png",
        "validation/cat/copy of test.png": "the same as test/dog/004.png",
    }
    notes = "\n".join(record.notes)
    for said in (
        "Files left out because they cannot be read: 3 (",
        "Files passed over: 1 (train/dog/notes.txt: not named as an image).",
        "Images resized to 20 x 20: 12, from 20 x 20 to 20 x 30",
        "Training images left out because the given validation set has them too: 1, of which 1 exactly",
        "Training images left out because the given test set has them too: 1, of which 1 exactly",
        "Validation images left out because the given test set has them too: 1, of which 1 exactly",
    ):
        assert said in notes


def test_nothing_is_written_into_the_users_folder(root, record):
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) == 24 + 24 + 10 + 3 + 4


def test_a_second_start_reads_no_image(root, home, record, monkeypatch):
    monkeypatch.setattr("modules.data.load.read_files", lambda *arguments: pytest.fail("the files were read again"))
    again = load(root, home)
    assert again == record
    assert list(again.num_images) == list(record.num_images)


def test_another_split_decodes_nothing_again(root, home, record, monkeypatch):
    monkeypatch.setattr(decoded_module, "_fill", lambda *arguments: pytest.fail("the files were decoded again"))
    assert load(root, home, (0.1, 0.3, None)).num_images["steer"] < record.num_images["steer"]


def test_a_test_fraction_where_a_test_set_is_given(root, home):
    with pytest.raises(ConfigError, match="brings its own test set; allowed is 0"):
        load(root, home, (0.2, 0.2, 0.1))


def test_a_file_that_ends_its_process_is_found_and_left_out(tmp_path, monkeypatch):
    root = write_pictures(tmp_path / "set", {"a": 4, "b": 4})
    call = WorkerPool.call

    def dies(pool, job, arguments, *others):
        if any(path.endswith("b/002.png") for path, _, _ in arguments["files"]):
            raise WorkerKilledError("the worker process was killed (signal 9)")
        return call(pool, job, arguments, *others)

    monkeypatch.setattr(WorkerPool, "call", dies)
    raw = read_files(read_folder(str(root)), Store(tmp_path / "home/store"))
    assert len(raw.train_labels) == 7
    assert raw.left_out == (("b/002.png", "reading it ended the process: the worker process was killed (signal 9)"),)


def test_a_file_that_the_disk_did_not_give_is_read_again(tmp_path, monkeypatch):
    root, store = write_pictures(tmp_path / "set", {"a": 4, "b": 4}), Store(tmp_path / "home/store")

    def fails(path, mode):
        if path.endswith("b/002.png"):
            raise OSError(errno.EIO, "Input/output error", path)
        return open(path, mode)

    with monkeypatch.context() as patched:
        patched.setattr(WorkerPool, "call", lambda pool, job, asked: find_job(job)(**asked, report=lambda _: None))
        patched.setattr(decoding_module, "open", fails, raising=False)
        with pytest.raises(DataError, match=r"b/002\.png cannot be read: Input/output error; allowed are readable"):
            read_files(read_folder(str(root)), store)
    assert len(read_files(read_folder(str(root)), store).train_labels) == 8


def test_a_long_reading_says_how_far_it_is(tmp_path, monkeypatch, capsys):
    write_pictures(tmp_path / "set", {"a": 12, "b": 12})
    monkeypatch.setattr(decoded_module, "_AT_ONCE", 10)
    monkeypatch.setattr(decoded_module, "_SECONDS_BETWEEN_LINES", 0.0)
    read_files(read_folder(str(tmp_path / "set")), Store(tmp_path / "home" / "store"))
    decoding = capsys.readouterr().out.splitlines()[-2:]
    assert decoding == ["reading images: 10 of 24 files", "reading images: 20 of 24 files"]


def test_a_colour_image_that_the_sample_did_not_show(tmp_path, monkeypatch):
    monkeypatch.setattr(decoded_module, "_SAMPLE", 2)
    root = write_pictures(tmp_path / "set", {"a": 4, "b": 4}, mode="L")
    picture(1).save(root / "a/001.png")
    raw = read_files(read_folder(str(root)), Store(tmp_path / "home/store"))
    assert raw.train_images.shape == (8, 20, 20, 3)
    np.testing.assert_array_equal(raw.train_images[1], picture(1))


def test_a_set_without_parts_is_split_and_keeps_its_arrays_in_one_place(tmp_path):
    root = write_pictures(tmp_path / "set", {"a": 20, "b": 20}, mode="L")
    record = load(root, tmp_path / "home")
    assert sum(record.num_images.values()) == 40
    assert record.num_images["test"] > 0
    assert record.image_shape == (1, 20, 20)
    assert os.stat(tmp_path / "home" / record.folder / "images.npy").st_nlink == 2


def test_one_class_only(tmp_path):
    root = write_pictures(tmp_path / "set", {"a": 8})
    with pytest.raises(DataError, match="there is one class, 'a'"):
        load(root, tmp_path / "home")


def test_a_class_that_parts_do_not_have(tmp_path):
    root = write_pictures(tmp_path / "set", {"train/a": 8, "train/b": 8, "train/c": 8})
    write_pictures(root, {"val/a": 8, "val/b": 8, "test/a": 4, "test/c": 4}, first=50)
    record = load(root, tmp_path / "home")
    assert "The test part has no image of 'b'." in record.notes
    assert "The steer part has no image of 'c'." in record.notes
    shutil.rmtree(root / "train/c")
    with pytest.raises(DataError, match="class 'c' has no image; each class needs at least two"):
        load(root, tmp_path / "home")


def test_only_a_test_part_or_only_what_cannot_be_read(tmp_path):
    root = write_pictures(tmp_path / "set", {"train": 0, "test/a": 2, "test/b": 2})
    with pytest.raises(DataError, match="there are no training images"):
        load(root, tmp_path / "home")
    for name in ("a", "b"):
        (root / "train" / name).mkdir()
        (root / "train" / name / "1.png").touch()
    with pytest.raises(DataError, match=r"none of the train images can be read \(train/a/1\.png: it is empty\)"):
        load(root, tmp_path / "home")


def test_an_archive_gives_the_images_of_its_folder(root, home, record, tmp_path):
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as tar:
        tar.add(root, arcname="some/folder")
        odd = tarfile.TarInfo("../outside/train/cat/evil.txt")
        tar.addfile(odd)
    unpacked = load(tmp_path / "set.tar.gz", home)
    assert (unpacked.digest, unpacked.test_digest) == (record.digest, record.test_digest)
    assert load(tmp_path / "set.tar.gz", home) == unpacked
    assert not (tmp_path.parent / "outside").exists()
    assert list(home.glob(".unpacking-*")) == []


def test_an_archive_that_was_cut_off(root, tmp_path):
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as tar:
        tar.add(root, arcname="set")
    os.truncate(tmp_path / "set.tar.gz", 5000)
    with pytest.raises(DataError, match=r"set\.tar\.gz is cut off"):
        load(tmp_path / "set.tar.gz", tmp_path / "home")


@pytest.mark.parametrize(("name", "opener"), [("set.tar.gz", gzip), ("set.tar", tarfile)])
def test_an_archive_that_may_not_be_read(tmp_path, monkeypatch, name, opener):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / name).touch()
    monkeypatch.setattr(opener, "open", refuse)
    with pytest.raises(DataError, match=rf"{name} cannot be read: Permission denied; allowed are readable"):
        load(tmp_path / name, tmp_path / "home")


def test_a_look_shows_every_class(record, home):
    look = look_at(home, record)
    assert [one.name for one in look.classes] == ["cat", "dog"]
    assert [sum(counts) for counts in zip(*(one.counts for one in look.classes), strict=True)] == [24, 12, 12, 10]
    sheet = Image.open(io.BytesIO(look.contact_sheet()))
    assert sheet.size == (12 * (40 + 2), 2 * (40 + 2))
    assert look.num_left_out == 7


def peak_megabytes() -> tuple[float, float]:
    """What this process, and what the largest of its children that have ended, held at most."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return tuple(resource.getrusage(kind).ru_maxrss / 1024 for kind in kinds)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_hundred_thousand_tiny_files(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(decoded_module, "_SECONDS_BETWEEN_LINES", 0.5)
    root = write_pictures(tmp_path / "set", {"a": 1, "b": 1})
    random = np.random.default_rng(0)
    for number in range(100_000):
        pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "ab"[number % 2] / f"{number}.png", compress_level=0)
    before, started = peak_megabytes()[0], time.perf_counter()
    record = load(root, tmp_path / "home", image_size=8, channels=1)
    first, (after, child) = time.perf_counter() - started, peak_megabytes()
    assert sum(record.num_images.values()) == 100_002
    said = re.findall(r"reading images: ([\d,]+) of 100,002 files", capsys.readouterr().out)
    assert said == sorted(said, key=lambda count: int(count.replace(",", "")))
    assert said
    assert after - before < 500
    assert child < 500
    started, used = time.perf_counter(), time.process_time()
    assert load(root, tmp_path / "home", image_size=8, channels=1) == record
    again, used = time.perf_counter() - started, time.process_time() - used
    assert used < 5.0
    print(
        f"first {first:.1f} s, again {again:.1f} s ({used:.1f} s of one core), +{after - before:.0f} MB, {child:.0f} MB"
    )
