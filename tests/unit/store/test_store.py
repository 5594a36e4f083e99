import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules import disk
from modules import store as store_module
from modules.errors import HomeError
from modules.store import Store, write_text

KEY = "ab" + "0" * 30


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def fill(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"first")
    (folder / "b.bin").write_bytes(b"second")


def everything_under(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_what_was_put_is_found(store):
    put = store.put("trials", KEY, {"loss": 0.5}, fill)
    found = store.find("trials", KEY)
    assert found == put
    assert found.record == {"loss": 0.5}
    assert found.file("a.bin").read_bytes() == b"first"
    assert list(store.keys("trials")) == [KEY]


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_an_entry_may_be_read_by_whom_the_umask_allows(store, umask):
    before = os.umask(umask)
    try:
        put = store.put("trials", KEY, {"loss": 0.5}, fill)
    finally:
        os.umask(before)
    assert put.folder.stat().st_mode & 0o777 == 0o777 & ~umask
    assert {path.stat().st_mode & 0o777 for path in put.folder.iterdir()} == {0o666 & ~umask}


def test_nothing_is_found_where_nothing_was_put(store):
    assert store.find("trials", KEY) is None
    assert list(store.keys("trials")) == []


@given(record=st.dictionaries(st.text(max_size=5), st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_a_record_comes_back_as_it_was(tmp_path_factory, record):
    store = Store(tmp_path_factory.mktemp("store"))
    store.put("plans", KEY, record)
    assert store.find("plans", KEY).record == record


def test_a_removed_entry_is_gone_and_may_be_put_again(store):
    store.put("trials", KEY, {"loss": 0.5}, fill)
    store.remove("trials", KEY)
    assert store.find("trials", KEY) is None
    assert everything_under(store.root) == []
    store.remove("trials", KEY)  # what is not there is removed already
    store.put("trials", KEY, {"loss": 0.25})
    assert store.find("trials", KEY).record == {"loss": 0.25}


class Killed(BaseException):
    """Stands for the end of the process: nothing after it happens."""


def kill_at(monkeypatch, number: int, cleans_up: bool) -> list[str]:
    """End the process at the `number`-th call of those that change the disk. Returns the calls that were made."""
    calls: list[str] = []

    def counted(name, real):
        def call(*arguments, **named):
            calls.append(name)
            if len(calls) == number:
                raise Killed
            return real(*arguments, **named)

        return call

    for owner, name in ((os, "replace"), (os, "fsync"), (Path, "write_bytes")):
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    if not cleans_up:  # a SIGKILL leaves no time for that
        monkeypatch.setattr(store_module.shutil, "rmtree", lambda *arguments, **named: None)
        monkeypatch.setattr(Path, "unlink", lambda *arguments, **named: None)
    return calls


@pytest.mark.parametrize("cleans_up", [True, False])
def test_a_kill_between_any_two_writes_leaves_the_whole_entry_or_none(tmp_path, monkeypatch, cleans_up):
    outcomes = []
    for number in range(1, 50):
        store = Store(tmp_path / str(number))
        with monkeypatch.context() as patched:
            calls = kill_at(patched, number, cleans_up)
            try:
                store.put("trials", KEY, {"loss": 0.5}, fill)
            except Killed:
                killed = True
            else:
                killed = False
        found = store.find("trials", KEY)
        outcomes.append(found is not None)
        if found is not None:
            assert found.record == {"loss": 0.5}
            assert found.file("b.bin").read_bytes() == b"second"
        assert list(store.keys("trials")) == ([KEY] if found else [])
        store.put("trials", KEY, {"loss": 0.5}, fill)  # going on after the kill
        assert store.find("trials", KEY) is not None
        if not killed:
            break
    assert not killed
    # two files, the record, four syncs before the rename, one after
    assert calls == ["write_bytes", "write_bytes", "write_bytes", *["fsync"] * 4, "replace", "fsync"]
    assert outcomes == [False] * 8 + [True] * 2


def test_everything_is_synced_before_the_rename_and_the_folder_after_it(store, monkeypatch):
    synced: list[str] = []
    monkeypatch.setattr(disk.in_use, "flush", lambda path: synced.append(path.name))
    real_rename = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (synced.append("renamed"), real_rename(*paths)))
    store.put("trials", KEY, {}, fill)
    before, after = synced[: synced.index("renamed")], synced[synced.index("renamed") + 1 :]
    assert {"a.bin", "b.bin", "record.json"} < set(before)
    assert after == ["ab"]


def test_a_failing_fill_leaves_nothing(store):
    def failing(folder: Path) -> None:
        fill(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.put("trials", KEY, {}, failing)
    assert store.find("trials", KEY) is None
    assert everything_under(store.root) == []


def test_a_record_with_a_number_that_is_none_is_refused(store):
    with pytest.raises(ValueError, match="JSON compliant"):
        store.put("trials", KEY, {"loss": float("nan")})
    assert everything_under(store.root) == []


def cut_file(folder):
    (folder / "b.bin").write_bytes(b"seco")


def remove_file(folder):
    (folder / "b.bin").unlink()


def remove_record(folder):
    (folder / "record.json").unlink()


def cut_record(folder):
    path = folder / "record.json"
    path.write_text(path.read_text()[:-9])


def alter_record(folder):
    path = folder / "record.json"
    path.write_text(path.read_text().replace("0.5", "0.4"))


def empty_record(folder):
    (folder / "record.json").write_text("[]")


@pytest.mark.parametrize("damage", [cut_file, remove_file, remove_record, cut_record, alter_record, empty_record])
def test_a_damaged_entry_is_put_aside_and_said(store, caplog, damage):
    damage(store.put("trials", KEY, {"loss": 0.5}, fill).folder)
    assert store.find("trials", KEY) is None
    (message,) = caplog.messages
    assert f"trials/{KEY} is damaged" in message
    assert "put aside" in message
    assert not store.folder("trials", KEY).exists()
    (aside,) = (store.root / "damaged").iterdir()
    assert (aside / "a.bin").read_bytes() == b"first"


def test_an_entry_may_be_damaged_made_again_and_damaged_again(store, caplog):
    for times in (1, 2, 3):
        cut_file(store.put("trials", KEY, {"loss": 0.5}, fill).folder)
        assert store.find("trials", KEY) is None
        assert len(list((store.root / "damaged").iterdir())) == times
    assert store.put("trials", KEY, {"loss": 0.5}, fill) == store.find("trials", KEY)


def test_two_processes_that_find_the_same_damage_both_go_on(store, monkeypatch, caplog):
    cut_file(store.put("trials", KEY, {"loss": 0.5}, fill).folder)
    real_replace = os.replace

    def other_is_quicker(source, target):
        real_replace(source, store.root / "taken")
        return real_replace(source, target)

    monkeypatch.setattr(os, "replace", other_is_quicker)
    assert store.find("trials", KEY) is None
    assert list((store.root / "damaged").iterdir()) == []


def test_an_entry_that_goes_while_it_is_looked_at_is_no_damage(store, monkeypatch, caplog):
    store.put("trials", KEY, {"loss": 0.5}, fill)

    def other_removes_it(path):
        Store(store.root).remove("trials", KEY)
        return path.read_bytes()

    monkeypatch.setattr(store_module, "sha256_of_file", other_removes_it)
    assert store.find("trials", KEY) is None
    assert caplog.messages == []
    assert not (store.root / "damaged").exists()


def test_of_two_processes_that_remove_an_entry_both_go_on(store, monkeypatch):
    store.put("trials", KEY, {"loss": 0.5}, fill)
    real_replace = os.replace

    def other_is_quicker(source, target):
        real_replace(source, store.root / "taken")
        return real_replace(source, target)

    monkeypatch.setattr(os, "replace", other_is_quicker)
    store.remove("trials", KEY)
    assert not store.folder("trials", KEY).exists()


def test_of_two_writers_of_one_key_the_first_wins(store):
    def other_writes_meanwhile(folder: Path) -> None:
        fill(folder)
        Store(store.root).put("trials", KEY, {"seconds": 1.0}, fill)

    store.put("trials", KEY, {"seconds": 2.0}, other_writes_meanwhile)
    assert store.find("trials", KEY).record == {"seconds": 1.0}
    assert everything_under(store.root) == [f"trials/ab/{KEY}/{name}" for name in ("a.bin", "b.bin", "record.json")]


WRITER = """
import sys, time
from pathlib import Path
from modules.store import Store

def fill(folder):
    (folder / "who").write_text(sys.argv[2])
    print("writing", flush=True)
    sys.stdin.readline()

Store(Path(sys.argv[1])).put("trials", sys.argv[3], {"who": sys.argv[2]}, fill)
"""


def writer(root: Path, who: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), who, KEY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_two_processes_that_write_one_key_and_one_that_is_killed(store):
    with writer(store.root, "killed") as killed, writer(store.root, "1") as one, writer(store.root, "2") as two:
        for process in (killed, one, two):
            assert process.stdout.readline() == "writing\n"
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert store.find("trials", KEY) is None
        for process in (one, two):
            process.stdin.write("go\n")
            process.stdin.flush()
    assert (one.returncode, two.returncode) == (0, 0)
    found = store.find("trials", KEY)
    assert found.record["who"] == found.file("who").read_text()
    assert list(store.keys("trials")) == [KEY]


def left_behind(store: Store, name: str, hours: float) -> Path:
    path = store.folder("trials", KEY).with_name(name)
    path.mkdir(parents=True)
    (path / "a.bin").write_bytes(b"half")
    os.utime(path, times=(time.time() - hours * 3600,) * 2)
    return path


def test_what_killed_writers_left_is_removed_after_a_day(store):
    put = store.put("trials", KEY, {"loss": 0.5}, fill)
    os.utime(put.folder, times=(0, 0))
    old = [left_behind(store, name, hours=25) for name in (".writing-k3j9x_2a", f".removing-{KEY}-17")]
    young = left_behind(store, ".writing-of_a_living_one", hours=23)
    store.remove_leftovers()
    assert [path.exists() for path in old] == [False, False]
    assert (young / "a.bin").read_bytes() == b"half"
    assert store.find("trials", KEY) == put


def test_leftovers_that_cannot_be_removed_stop_nobody(store, monkeypatch):
    store.remove_leftovers()  # there is no store yet
    old = left_behind(store, ".writing-k3j9x_2a", hours=25)
    monkeypatch.setattr(store_module.shutil, "rmtree", raising(errno.EACCES))
    store.remove_leftovers()
    assert old.exists()


FAULTS = {
    errno.ENOSPC: ("no space left", "free some space"),
    errno.EDQUOT: ("quota", "free some space"),
    errno.EACCES: ("no right to write", "a folder that can be written to"),
    errno.EPERM: ("no right to write", "a folder that can be written to"),
    errno.EROFS: ("read-only", "a folder that can be written to"),
}


def raising(number):
    def call(*_arguments, **_named):
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", FAULTS)
@pytest.mark.parametrize("call", ["mkdir", "write_bytes", "fsync", "replace"])
def test_a_disk_that_cannot_be_written_is_said_in_one_sentence(store, monkeypatch, number, call):
    owner = os if call in ("fsync", "replace") else Path
    with monkeypatch.context() as patched:
        patched.setattr(owner, call, raising(number))
        with pytest.raises(HomeError) as raised:
            store.put("trials", KEY, {}, fill)
    sentence = str(raised.value)
    reason, remedy = FAULTS[number]
    assert reason in sentence
    assert remedy in sentence
    assert ("space" in remedy) == ("free some" in sentence)
    assert str(store.root) in sentence
    assert "ESPALIER_HOME" in sentence
    assert "\n" not in sentence
    assert everything_under(store.root) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("call", ["is_dir", "read_text", "sha256_of_file"])
def test_an_entry_that_cannot_be_read_is_not_damaged_for_that(store, monkeypatch, caplog, number, call):
    put = store.put("trials", KEY, {"loss": 0.5}, fill)
    with monkeypatch.context() as patched:
        patched.setattr(store_module if call == "sha256_of_file" else Path, call, raising(number))
        with pytest.raises(HomeError, match=f"cannot read .*{KEY}.*: {os.strerror(number)}; it stays as it is"):
            store.find("trials", KEY)
    assert caplog.messages == []
    assert not (store.root / "damaged").exists()
    assert store.find("trials", KEY) == put


def test_other_faults_of_the_system_pass(store, monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(errno.EIO))
    with pytest.raises(OSError, match="Input/output") as raised:
        store.put("trials", KEY, {}, fill)
    assert not isinstance(raised.value, HomeError)


def test_a_home_that_is_a_file_is_said(tmp_path):
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeError, match="a part of the path is a file"):
        Store(tmp_path / "home" / "store").put("trials", KEY, {})
    with pytest.raises(HomeError, match="a part of the path is a file"):
        write_text(tmp_path / "home" / "summary.json", "{}")


def test_write_text_replaces_a_file(tmp_path):
    path = tmp_path / "new" / "summary.json"
    write_text(path, "one")
    write_text(path, "zwölf")
    assert path.read_text(encoding="utf-8") == "zwölf"
    assert path.stat().st_mode & 0o777 == 0o644
    assert everything_under(tmp_path) == ["new/summary.json"]


@pytest.mark.parametrize("cleans_up", [True, False])
def test_a_kill_during_write_text_leaves_the_old_or_the_new_text(tmp_path, monkeypatch, cleans_up):
    path = tmp_path / "summary.json"
    seen = []
    for number in range(1, 9):
        write_text(path, "old")
        with monkeypatch.context() as patched:
            calls = kill_at(patched, number, cleans_up)
            try:
                write_text(path, json.dumps(list(range(1000))))
            except Killed:
                killed = True
            else:
                killed = False
        seen.append(path.read_text() == "old" or json.loads(path.read_text()) == list(range(1000)))
        if not killed:
            break
    assert not killed
    assert all(seen)
    assert calls == ["write_bytes", "fsync", "replace", "fsync"]
    if cleans_up:
        assert everything_under(tmp_path) == ["summary.json"]


@pytest.mark.parametrize("number", FAULTS)
def test_write_text_says_what_is_wrong_and_keeps_the_old_text(tmp_path, monkeypatch, number):
    path = tmp_path / "summary.json"
    write_text(path, "old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", raising(number))
        with pytest.raises(HomeError, match=FAULTS[number][0]):
            write_text(path, "new")
    assert path.read_text() == "old"
    assert everything_under(tmp_path) == ["summary.json"]


def test_damage_that_cannot_be_put_aside_is_said(store, monkeypatch):
    cut_file(store.put("trials", KEY, {}, fill).folder)
    monkeypatch.setattr(os, "replace", raising(errno.EROFS))
    with pytest.raises(HomeError, match="read-only"):
        store.find("trials", KEY)


def test_finished_work_takes_the_place_of_damaged_work(tmp_path):
    """A process that is killed while the disk lies about what it wrote; the next one makes the same again."""
    store, key = Store(tmp_path / "store"), "0" * 32
    store.put("trials", key, {}, lambda folder: (folder / "state").write_bytes(b"whole"))
    (store.folder("trials", key) / "state").write_bytes(b"who")
    store.put("trials", key, {}, lambda folder: (folder / "state").write_bytes(b"whole"))
    assert (store.folder("trials", key) / "state").read_bytes() == b"whole"
    assert not list(store.folder("trials", key).parent.glob(".*"))
