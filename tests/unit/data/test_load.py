import json
import os

import numpy as np
import pytest

from modules.data import known as known_module
from modules.data import load as load_module
from modules.data.arrays import image_names, open_arrays
from modules.data.facts import read_facts
from modules.data.idx import read_pair
from modules.data.images import RawImages
from modules.data.load import load_data
from modules.data.parts import content_hashes
from modules.errors import ConfigError, DataError
from modules.records import DataRecord, Part
from modules.store import Store

DIGITS = Part(target="modules.data.digits.read_digits")
FRACTIONS = (0.1, 0.1, 0.2)
GIVEN_TEST = (0.2, 0.2, 0.0)


def mnist(folder):
    return Part(target="modules.data.known.read_mnist", arguments={"root": str(folder)})


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def load(home):
    """load_data with everything but the reader at its usual value."""

    def load(reader, fractions=GIVEN_TEST, name="small", split_seed=0, corrections=None):
        return load_data(reader, name, fractions, split_seed, home, Store(home / "store"), corrections)

    return load


@pytest.fixture
def load_raw(load, monkeypatch):
    """Loads images that no reader has read."""

    def load_raw(raw, **arguments):
        monkeypatch.setattr(load_module, "build", lambda part: raw)
        return load(DIGITS, **arguments)

    return load_raw


def random_raw(num=300, num_classes=3, labels=None, **given):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (num, 7, 8, 3), dtype=np.uint8)
    labels = np.arange(num) % num_classes if labels is None else np.asarray(labels)
    return RawImages(images, labels.astype(np.int64), tuple("abcdefghij"[:num_classes]), **given)


def test_a_set_without_a_test_set_gets_four_parts(load_raw, home):
    raw = random_raw()
    record = load_raw(raw, fractions=FRACTIONS)
    arrays = open_arrays(home, record)
    np.testing.assert_array_equal(arrays.images, raw.train_images)
    np.testing.assert_array_equal(arrays.labels, raw.train_labels)
    np.testing.assert_array_equal(arrays.identities, content_hashes(raw.train_images))
    members = [arrays.indices(part) for part in ("train", "steer", "confirm", "test")]
    assert np.sort(np.concatenate(members)).tolist() == list(range(300))
    assert list(record.num_images.values()) == [len(indices) for indices in members]
    assert record.image_shape == (3, 7, 8)
    assert record.notes == ()


def test_mean_and_std_are_those_of_the_training_part(load_raw, home):
    record = load_raw(random_raw(), fractions=FRACTIONS)
    arrays = open_arrays(home, record)
    training = arrays.images[arrays.indices("train")].astype(np.float64) / 255
    np.testing.assert_allclose(record.mean, training.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(record.std, training.std(axis=(0, 1, 2)), rtol=1e-12)


def test_a_channel_of_one_shade_has_a_spread_to_divide_by(load_raw):
    raw = random_raw()
    raw.train_images[..., 1] = 77
    assert load_raw(raw, fractions=FRACTIONS).std[1] == 1 / 255


def test_a_given_test_set_stays_the_test_set(load, home, write_idx):
    folder = write_idx()
    record = load(mnist(folder))
    arrays = open_arrays(home, record)
    assert record.num_images["test"] == 40
    assert arrays.indices("test").tolist() == list(range(200, 240))
    assert sum(record.num_images.values()) == 240


def test_training_images_that_are_in_the_test_set_are_left_out(load, home, write_idx):
    random = np.random.default_rng(1)
    train, test = random.integers(0, 256, (200, 6, 6)), random.integers(0, 256, (40, 6, 6))
    test[:3] = train[[5, 50, 100]]
    record = load(mnist(write_idx(train_images=train, test_images=test)))
    arrays = open_arrays(home, record)
    assert len(arrays.labels) == 237
    in_test = set(arrays.identities[arrays.indices("test")].tolist())
    for part in ("train", "steer", "confirm"):
        assert not in_test & set(arrays.identities[arrays.indices(part)].tolist())
    (note,) = record.notes
    assert note.startswith("Training images left out because the given test set has them too: 3, of which 3 exactly")
    assert read_facts(home, record).left_out == tuple(
        (f"train image {row}", f"the same as test image {place}") for place, row in enumerate((5, 50, 100))
    )


def test_no_near_copy_judges_what_its_twin_was_trained_on(load_raw, home):
    """Copies with a little noise do not all share the coarse key by which parts are drawn."""
    raw = random_raw()
    noise = np.random.default_rng(1).integers(-3, 4, raw.train_images[150:].shape)
    raw.train_images[150:] = np.clip(raw.train_images[:150].astype(np.int64) + noise, 0, 255)
    record = load_raw(raw, fractions=FRACTIONS)
    arrays = open_arrays(home, record)
    place = {identity: row for row, identity in enumerate(content_hashes(raw.train_images).tolist())}
    originals = [place[identity] % 150 for identity in arrays.identities.tolist()]
    part_of = dict[int, set[int]]()
    for original, part in zip(originals, arrays.parts.tolist(), strict=True):
        part_of.setdefault(original, set()).add(part)
    assert len(part_of) == 150
    assert {len(parts) for parts in part_of.values()} == {1}
    left_out = read_facts(home, record).left_out
    assert 0 < len(left_out) == 300 - len(arrays.labels)
    assert all(reason.startswith("nearly the same as train image ") for _, reason in left_out)
    assert sum(note.startswith("Images of ") for note in record.notes) >= 1


def test_images_with_two_labels_are_noted(load_raw):
    raw = random_raw()
    raw.train_images[1] = raw.train_images[0]
    raw.train_images[3] = raw.train_images[0]
    raw.train_images[12] = raw.train_images[9]  # of the same class
    assert load_raw(raw, fractions=FRACTIONS).notes == ("Images that occur with more than one label: 1.",)


def test_identical_images_share_a_part(load_raw, home):
    raw = random_raw()
    raw.train_images[150:] = raw.train_images[:150]
    record = load_raw(raw, fractions=FRACTIONS)
    parts = open_arrays(home, record).parts
    np.testing.assert_array_equal(parts[:150], parts[150:])
    assert sum(record.num_groups.values()) == 150


def test_images_that_come_from_no_files_have_no_names(load, home):
    assert image_names(home, load(DIGITS, FRACTIONS)) is None


def test_loading_again_writes_nothing_and_says_the_same(load, home):
    first = load(DIGITS, FRACTIONS)
    written = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    assert load(DIGITS, FRACTIONS) == first
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == written


def test_a_second_start_reads_no_file_that_is_as_it_was(load, write_idx, monkeypatch):
    folder = write_idx()
    record, read = load(mnist(folder)), []
    monkeypatch.setattr(known_module, "read_pair", lambda *pair: read.append(pair) or read_pair(*pair))
    assert load(mnist(folder)) == record
    assert read == []
    assert load(mnist(folder), split_seed=1) != record
    assert len(read) == 2


def test_a_file_that_was_replaced_is_read_however_old_it_seems(load, write_idx):
    record = load(mnist(write_idx(zipped=False)))
    path = write_idx(zipped=False) / "train-images-idx3-ubyte"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert load(mnist(path.parent)).digest != record.digest


def test_equal_files_elsewhere_are_the_same_data(load, write_idx, tmp_path):
    record = load(mnist(write_idx()))
    (tmp_path / "idx").rename(tmp_path / "moved")
    assert load(mnist(tmp_path / "moved")) == record


def test_the_record_survives_json_and_is_in_the_store(load, home):
    record = load(DIGITS, FRACTIONS)
    assert DataRecord.model_validate_json(record.model_dump_json()) == record
    stored = json.loads((home / record.folder / "record.json").read_text())["record"]
    assert DataRecord.model_validate(stored) == record
    assert not record.folder.startswith("/")


def test_a_damaged_entry_is_made_again(load, home, caplog):
    record = load(DIGITS, FRACTIONS)
    labels = home / record.folder / "labels.npy"
    sound = labels.read_bytes()
    labels.write_bytes(sound[:-1] + b"\7")
    assert load(DIGITS, FRACTIONS) == record
    assert labels.read_bytes() == sound
    assert "damaged" in caplog.text


def test_digests_tell_what_differs(load_raw):
    record = load_raw(random_raw(), fractions=FRACTIONS)
    other_seed = load_raw(random_raw(), fractions=FRACTIONS, split_seed=1)
    assert other_seed.digest != record.digest
    assert other_seed.test_digest != record.test_digest
    renamed = load_raw(random_raw(), fractions=FRACTIONS, name="other")
    assert (renamed.digest, renamed.test_digest) == (record.digest, record.test_digest)
    assert renamed.folder != record.folder
    relabelled = random_raw()
    relabelled.train_labels[:3] = [1, 2, 0]
    assert load_raw(relabelled, fractions=FRACTIONS).digest != record.digest


def test_the_test_digest_knows_no_order_and_no_training_images(load_raw):
    random = np.random.default_rng(2)
    images, labels = random.integers(0, 256, (9, 7, 8, 3), dtype=np.uint8), np.arange(9) % 3
    order = random.permutation(9)
    one = load_raw(random_raw(test_images=images, test_labels=labels))
    two = load_raw(random_raw(num=240, test_images=images[order], test_labels=labels[order]))
    assert one.test_digest == two.test_digest
    assert one.digest != two.digest
    relabelled = load_raw(random_raw(test_images=images, test_labels=(labels + 1) % 3))
    assert relabelled.test_digest != one.test_digest


def test_a_part_that_would_be_empty(load_raw):
    with pytest.raises(DataError, match=r"the \w+ part would be empty \(6 images in all\); more images"):
        load_raw(random_raw(num=6), fractions=(0.01, 0.01, 0.01))


def test_a_class_that_would_not_be_trained_on(load_raw):
    labels = np.zeros(300)
    labels[:2] = 1
    messages = set()
    for split_seed in range(40):
        try:
            load_raw(random_raw(num_classes=2, labels=labels), fractions=(0.3, 0.3, 0.3), split_seed=split_seed)
        except DataError as error:
            messages.add(str(error).partition(";")[0])
    assert messages == {"class 'b' has no image in the training part"}


def test_a_class_that_a_part_does_not_judge_is_noted(load_raw):
    labels = np.zeros(300)
    labels[:2] = 1
    notes = load_raw(random_raw(num_classes=2, labels=labels), fractions=FRACTIONS).notes
    assert "The steer part has no image of 'b'." in notes


def test_a_class_with_a_single_image(load, write_idx):
    labels = np.arange(200) % 9
    labels[0] = 9
    with pytest.raises(DataError, match="class '9' has a single image"):
        load(mnist(write_idx(train_labels=labels)))


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ((0.0, 0.1, 0.2), r"data\.steer_fraction=0\.0, .* each must be above 0"),
        ((0.1, -0.1, 0.2), r"data\.confirm_fraction=-0\.1 .* each must be above 0"),
        ((0.1, 0.1, 0.0), r"data\.test_fraction=0\.0 .* each must be above 0"),
        ((0.4, 0.3, 0.3), r"leave nothing to train on; together they must be below 1"),
    ],
)
def test_fractions_that_leave_a_part_empty(load, fractions, message):
    with pytest.raises(ConfigError, match=message):
        load(DIGITS, fractions)


def test_a_test_fraction_where_a_test_set_is_given(load, write_idx):
    with pytest.raises(ConfigError, match=r"data\.test_fraction=0\.2 is not for small, which brings its own test set"):
        load(mnist(write_idx()), FRACTIONS)


def test_nothing_is_written_for_a_set_that_is_refused(load, home, write_idx):
    folder = write_idx(num_train=0)
    with pytest.raises(DataError):
        load(mnist(folder))
    assert not home.exists()


def test_corrected_labels_are_other_data_with_the_same_parts(load_raw, home, tmp_path):
    raw = random_raw()
    before = load_raw(raw, fractions=FRACTIONS)
    arrays = open_arrays(home, before)
    place = int(arrays.indices("train")[0])
    given, right = int(arrays.labels[place]), (int(arrays.labels[place]) + 1) % 3
    file = tmp_path / "corrections.csv"
    file.write_text(f"identity,given,corrected\n{int(arrays.identities[place]):016x},{'abc'[given]},{'abc'[right]}\n")
    after = load_raw(raw, fractions=FRACTIONS, corrections=file)
    assert after.digest != before.digest
    assert after.test_digest == before.test_digest
    assert after.notes == ("Labels corrected by data.corrections: 1.",)
    corrected = open_arrays(home, after)
    np.testing.assert_array_equal(corrected.parts, arrays.parts)
    assert np.flatnonzero(corrected.labels != arrays.labels).tolist() == [place]
    assert corrected.labels[place] == right
    assert raw.train_labels[place] == given
