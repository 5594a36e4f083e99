import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.comparing import read_studies
from modules.errors import StudyError
from modules.evaluation.openings import opening
from modules.evaluation.outputs import Outputs
from modules.parts import CONF
from modules.records import DataRecord
from modules.store import Store
from tests.unit.tiny_study import NUM_TEST, make_data


@pytest.fixture
def data(tmp_path) -> DataRecord:
    return make_data(tmp_path)


def keep_study(home: Path, name: str, data: DataRecord, wrong: tuple[int, ...] = ()) -> None:
    """A study whose winner misclassifies the images at `wrong` of the test part."""
    folder = home / "studies" / name
    folder.mkdir(parents=True)
    champion = {"weights_sha256": name, "params": 100, "test_error": len(wrong) / NUM_TEST, "val_error": 0.1}
    (folder / "summary.json").write_text(json.dumps({"state": "completed", "champion": champion}))
    (folder / "study_run.json").write_text(json.dumps({"data": data.model_dump(mode="json")}))
    labels = np.arange(NUM_TEST) % 3
    said = np.where(np.isin(np.arange(NUM_TEST), wrong), (labels + 1) % 3, labels)
    outputs = Outputs(np.zeros(NUM_TEST, np.float32), np.eye(3, dtype=np.float32)[said], labels)
    kind, key = opening(name, data, "test")
    Store(home / "store").put(kind, key, {}, lambda entry: outputs.write(entry / "outputs.safetensors"))


def test_what_winners_said_of_each_image_is_found(tmp_path, data):
    keep_study(tmp_path, "few", data, (3,))
    keep_study(tmp_path, "many", data, (3, 7, 11))
    few, many = read_studies(["few", "many"], tmp_path)
    assert set(few.seen) == {"test"}
    assert few.seen["test"].are_those_of(many.seen["test"])
    assert (few.seen["test"].wrong.sum(), many.seen["test"].wrong.sum()) == (1, 3)
    assert (few.seen["test"].wrong & many.seen["test"].wrong).sum() == 1


def test_the_same_images_in_another_order_are_the_same_images(tmp_path, data):
    """The arrays of the second study are the first's, backwards."""
    keep_study(tmp_path, "one", data)
    turned = make_data(tmp_path, "reversed").updated(test_digest="another key")
    keep_study(tmp_path, "other", turned)
    kind, key = opening("other", turned, "test")
    store = Store(tmp_path / "store")
    there = Outputs.read(store.folder(*opening("one", data, "test")) / "outputs.safetensors")
    store.remove(kind, key)
    backwards = Outputs(*(np.ascontiguousarray(array[::-1]) for array in there))
    store.put(kind, key, {}, lambda entry: backwards.write(entry / "outputs.safetensors"))
    one, other = read_studies(["one", "other"], tmp_path)
    assert one.seen["test"].are_those_of(other.seen["test"])


def test_nothing_is_seen_of_images_that_are_gone(tmp_path, data):
    keep_study(tmp_path, "mine", data)
    for array in (tmp_path / data.folder).glob("*.npy"):
        array.unlink()
    (mine,) = read_studies(["mine"], tmp_path)
    assert mine.seen == {}
    assert mine.champion["params"] == 100


def test_a_study_of_another_make_is_one_sentence(tmp_path, data):
    keep_study(tmp_path, "mine", data)
    (tmp_path / "studies" / "mine" / "study_run.json").write_text('{"data": {"name": 3}}')
    with pytest.raises(StudyError, match=r"cannot read study 'mine' .*allowed are studies that this version"):
        read_studies(["mine"], tmp_path)


def test_nothing_heavy_is_imported(tmp_path, data):
    keep_study(tmp_path, "one", data, (1,))
    keep_study(tmp_path, "two", data)
    code = (
        "import sys; from flows.cli import main; assert main(['compare', 'one', 'two']) == 0;"
        "loaded = {'torch', 'mlflow', 'prefect', 'matplotlib', 'sklearn', 'scipy'} & set(sys.modules);"
        "assert not loaded, loaded"
    )
    environment = {"ESPALIER_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=CONF.parent, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Wrong in one alone: 1 of 20 images; in two alone: 0." in " ".join(done.stdout.split())
