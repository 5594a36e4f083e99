"""What may go from a store, and what may not."""

import json
import os
import time
from pathlib import Path

import pytest

from modules.garbage import find_garbage
from modules.store import Store, write_text

LEDGER, WINNER, ALONE, CHILD, DATA, OLD_DATA, STARTED_FROM, VARIANT = [digit * 32 for digit in "01234567"]
LATER = 2 * 3600.0


def fill(folder: Path) -> None:
    (folder / "state.safetensors").write_bytes(bytes(100))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A study that has ended; what it needs, what it needed, and what nobody knows."""
    store = Store(tmp_path / "store")
    for kind, keys in {
        "trials": (LEDGER, WINNER, ALONE, STARTED_FROM),
        "edits": (CHILD,),
        "data": (DATA, OLD_DATA),
        "checkpoints": (f"{ALONE}-000000001000",),
        "heads": (STARTED_FROM, ALONE),
        "features": (ALONE,),
        "test_openings": (ALONE,),
        "observations": (ALONE,),
    }.items():
        for key in keys:
            store.put(kind, key, {"key": key}, fill)
    write_study(tmp_path, "done", "completed")
    return tmp_path


def write_study(home: Path, name: str, state: str) -> None:
    folder = home / "studies" / name
    write_text(folder / "ledger.json", json.dumps({"lineage": [{"trial": WINNER, "start": {"key": STARTED_FROM}}]}))
    write_text(folder / "trials.jsonl", json.dumps({"key": LEDGER}) + "\n")
    write_text(folder / "study_run.json", json.dumps({"data": {"folder": f"store/data/44/{DATA}"}}))
    write_text(folder / "summary.json", json.dumps({"state": state}))


def garbage_of(home: Path, seconds: float = LATER) -> set[tuple[str, str]]:
    return {(one.kind, one.path.name) for one in find_garbage(home, time.time() + seconds)}


def test_what_no_study_names_goes_and_small_records_stay(home):
    checkpoint = ("checkpoints", f"{ALONE}-000000001000")
    left = {("heads", ALONE), ("features", ALONE), checkpoint}
    assert garbage_of(home) == {("trials", ALONE), ("edits", CHILD), ("data", OLD_DATA), *left}


def test_what_is_young_stays(home):
    assert garbage_of(home, seconds=0) == set()


def test_a_study_that_is_to_go_on_keeps_the_states_between_its_trainings(home):
    write_study(home, "killed", "interrupted")
    assert garbage_of(home) == {("trials", ALONE), ("data", OLD_DATA)}


def test_a_variant_that_credit_trains_is_a_study_too(home):
    Store(home / "store").put("trials", VARIANT, {}, fill)
    before = garbage_of(home)
    folder = home / "studies" / "done" / "credit" / "without-schedule-0"
    write_text(folder / "trials.jsonl", json.dumps({"key": VARIANT}) + "\n")
    write_text(folder / "study_run.json", json.dumps({"data": {"folder": f"store/data/44/{DATA}"}}))
    assert ("trials", VARIANT) in before
    assert garbage_of(home) == {("trials", ALONE), ("data", OLD_DATA)}  # it is to go on
    write_text(folder / "ended.json", "{}")
    assert garbage_of(home) == before - {("trials", VARIANT)}


def test_data_of_a_bundle_stays_though_its_study_is_gone(home):
    write_text(home / "bundles" / "digits" / "v1" / "bundle.json", json.dumps({"data": {"folder": OLD_DATA}}))
    assert ("data", OLD_DATA) not in garbage_of(home)


def test_data_stays_where_a_study_does_not_say_which_it_uses(home):
    (home / "studies" / "done" / "study_run.json").unlink()
    assert ("data", OLD_DATA) not in garbage_of(home)


@pytest.mark.parametrize(("data", "goes"), [(DATA, False), (OLD_DATA, True)])
def test_decoded_images_stay_while_data_that_is_needed_has_them(home, data, goes):
    store = Store(home / "store")
    decoded = store.put("decoded", ALONE, {}, lambda folder: (folder / "images.npy").write_bytes(bytes(10_000)))
    store.remove("data", data)
    store.put("data", data, {}, lambda folder: os.link(decoded.file("images.npy"), folder / "images.npy"))
    garbage = find_garbage(home, time.time() + LATER)
    assert ("decoded" in {one.kind for one in garbage}) == goes
    large = [one.kind for one in garbage if one.size_bytes >= 10_000]
    assert large == (["data"] if goes else [])  # once, though it has two names


def test_an_archive_that_a_killed_process_unpacked_goes(home):
    (home / ".unpacking-1" / "inner").mkdir(parents=True)
    (left,) = [one for one in find_garbage(home, time.time() + LATER) if one.kind == "unpacked"]
    left.remove(Store(home / "store"))
    assert not (home / ".unpacking-1").exists()


def test_damaged_entries_that_were_put_aside_go(home, caplog):
    store = Store(home / "store")
    (store.folder("trials", LEDGER) / "state.safetensors").write_bytes(b"cut")
    assert store.find("trials", LEDGER) is None
    (aside,) = (home / "store" / "damaged").iterdir()
    assert ("damaged", aside.name) in garbage_of(home)


def test_removing_frees_what_was_said_and_leaves_the_rest_whole(home):
    store = Store(home / "store")
    for one in find_garbage(home, time.time() + LATER):
        assert one.size_bytes == sum(path.stat().st_size for path in one.path.iterdir())
        one.remove(store)
    assert garbage_of(home) == set()
    assert sorted(store.keys("trials")) == sorted([LEDGER, WINNER, STARTED_FROM])
    assert all(store.find("trials", key) for key in (LEDGER, WINNER, STARTED_FROM))
    assert os.listdir(home / "store" / "test_openings")
