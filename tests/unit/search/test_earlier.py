"""Whether an earlier winner can be the start of a study: what it left, and which images it has seen."""

import json

import numpy as np
import pytest
from made_up_rows import row
from tiny_study import make_data, tiny_architecture

from modules.data.parts import PARTS
from modules.digests import digest_of
from modules.errors import ConfigError, StudyError
from modules.records import Ledger
from modules.search.earlier import EarlierWinner, read_earlier_winner
from modules.training.spec import Start

WINNER = EarlierWinner(
    study="first", architecture=tiny_architecture(), start=Start(kind="trials", key="k", state_sha256="s")
)


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path)


@pytest.fixture
def folder(tmp_path, data):
    """Of the earlier study."""
    folder = tmp_path / "studies" / "first"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text("{}")
    (folder / "study_run.json").write_text(json.dumps({"data": data.model_dump(mode="json")}))
    return folder


def changed(home, data, name, change):
    """The data set after a change of its arrays."""
    arrays = {array: np.load(home / data.folder / f"{array}.npy") for array in ("images", "parts", "identities")}
    arrays |= {"labels": np.load(home / data.folder / "labels.npy"), **change(arrays)}
    folder = home / "store" / "data" / name
    folder.mkdir()
    for array, values in arrays.items():
        np.save(folder / f"{array}.npy", values)
    return data.updated(digest=digest_of(name), folder=folder.relative_to(home).as_posix())


def test_images_that_it_was_trained_on_do_not_judge_it(tmp_path, data, folder):
    def other_split(arrays):
        moved = np.array(arrays["parts"])
        moved[[0, 1]], moved[2] = PARTS.index("steer"), PARTS.index("test")
        moved[-1] = PARTS.index("train")
        return {"parts": moved}

    other = changed(tmp_path, data, "other", other_split)
    with pytest.raises(ConfigError, match=r"start=first: 3 images of steer, confirm and test .* the data.split_seed"):
        WINNER.check_unseen(other, tmp_path)


def test_a_folder_that_has_grown_or_whose_labels_were_corrected_can_be_gone_on_with(tmp_path, data, folder):
    def grown(arrays):
        return {"parts": np.append(arrays["parts"], [0, 3]), "identities": np.append(arrays["identities"], [7, 8])}

    WINNER.check_unseen(data, tmp_path)
    WINNER.check_unseen(changed(tmp_path, data, "grown", grown), tmp_path)
    WINNER.check_unseen(changed(tmp_path, data, "corrected", lambda arrays: {}), tmp_path)


@pytest.mark.parametrize("gone", ["the record", "the images"])
def test_where_nobody_knows_what_it_has_seen_it_is_no_start(tmp_path, data, folder, gone):
    other = changed(tmp_path, data, "other", lambda arrays: {})
    path = folder / "study_run.json" if gone == "the record" else tmp_path / data.folder / "identities.npy"
    path.unlink()
    with pytest.raises(StudyError, match=r"start=first: which images its winner was trained on is no longer known"):
        WINNER.check_unseen(other, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema_version": 2}', r"ledger\.json is no ledger that this program wrote"),
        ("{", r"ledger\.json is no ledger that this program wrote"),
        (Ledger(study="first", baseline="b", final=(row(kept=True),)).model_dump_json(), "was changed after the study"),
        (Ledger(study="first", baseline="b").sealed().model_dump_json(), "it has not ended"),
    ],
)
def test_a_ledger_that_is_none_is_said(tmp_path, folder, text, said):
    (folder / "ledger.json").write_text(text)
    with pytest.raises(StudyError, match=said):
        read_earlier_winner(tmp_path, "first")
