"""A file of corrected labels: what it changes, and each way in which it cannot be meant."""

import csv
import io

import numpy as np
import pytest

from modules.data.corrections import (
    COLUMNS,
    SuspectedLabel,
    corrected_labels,
    corrections_text,
    identity_text,
)
from modules.data.parts import PARTS
from modules.errors import DataError

CLASSES = ("cat", "dog, small", "Größe")
IDENTITIES = np.array([1, 2, 2, 2**64 - 1, 5], dtype=np.uint64)
LABELS = np.array([0, 1, 2, 0, 1])
PART_CODES = np.array([PARTS.index(part) for part in ("train", "train", "train", "confirm", "test")], dtype=np.uint8)
HEAD = "identity,given,corrected\n"


def correct(path):
    return corrected_labels(LABELS, IDENTITIES, PART_CODES, CLASSES, path)


@pytest.fixture
def file(tmp_path):
    """Writes the file's text and returns its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "corrections.csv"
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return path

    return write


def suspect(place, suggested):
    return SuspectedLabel(
        identity=identity_text(IDENTITIES[place]),
        index=place,
        part=PARTS[PART_CODES[place]],
        given=CLASSES[LABELS[place]],
        suggested=suggested,
        confidence=0.9,
    )


def test_the_file_as_it_is_left_changes_nothing(file):
    text = corrections_text([suspect(0, "Größe"), suspect(3, "dog, small")])
    assert text.splitlines()[0] == ",".join(COLUMNS)
    np.testing.assert_array_equal(correct(file(text)), LABELS)


def test_what_a_person_fills_in_is_read_back(file):
    rows = list(csv.DictReader(io.StringIO(corrections_text([suspect(0, "Größe"), suspect(3, "dog, small")]))))
    for row in rows:
        row["corrected"] = row["suggested"]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    before = LABELS.copy()
    assert correct(file(text.getvalue(), "utf-8-sig")).tolist() == [2, 1, 2, 1, 1]  # as a spreadsheet saves it
    np.testing.assert_array_equal(LABELS, before)


def test_of_twins_with_two_labels_the_given_one_is_meant(file):
    assert correct(file(f"{HEAD}{2:016x},Größe,cat\n")).tolist() == [0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column 'identity'; got nothing; needed are identity, given, corrected"),
        ("identity,given\n", "has no column 'corrected'; got identity, given; needed"),
        (f"{HEAD}{9:016x},cat,Größe\n", "line 2: no training image has the identity 0000000000000009; allowed are"),
        (f"{HEAD},cat,Größe\n", "no training image has the identity nothing"),
        (f"{HEAD}{1:016x},cat,horse\n", "line 2: corrected is 'horse', which is no class; allowed: cat, dog, small"),
        (f"{HEAD}{1:016x},cow,cat\n", "line 2: given is 'cow', which is no class"),
        (f"{HEAD}{1:016x},Größe,cat\n", "is given as 'Größe', but its label is 'cat'; the file is of other labels"),
        (f'{HEAD}{5:016x},"dog, small",cat\n', "is a test image; allowed are images of train, steer and confirm"),
        (f"{HEAD}{1:016x},cat,Größe\n{1:016x},cat,cat\n", "line 3: .* is corrected to 'cat', in line 2 to 'Größe'"),
        (f"{HEAD}{1:016x},cat\n", "line 2 has not as many cells as the first line has columns"),
        (f"{HEAD}{1:016x},dog, small,cat\n", "line 2 has not as many cells .* a label with a comma in it belongs in"),
        (f'{HEAD}{1:016x},"cat,Größe\n', "after line 1: .*; allowed is a sound CSV"),
        (b"\xff\xfe\x00", "is no text in UTF-8; allowed is a CSV"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(file, text, said):
    with pytest.raises(DataError, match=said) as caught:
        correct(file(text))
    assert str(caught.value).startswith("data.corrections=")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"corrections=.*none.csv cannot be read: No such file"):
        correct(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        correct(tmp_path)
