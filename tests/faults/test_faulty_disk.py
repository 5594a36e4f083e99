"""The store and the study's files under every fault at every operation; each in a process that may be killed."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from modules import disk
from modules.errors import HomeError
from modules.store import Store, write_text
from tests.faults.faulty_disk import Fault, FaultyDisk

KEY = "ab" + "0" * 30
RECORD = {"loss": 0.5}


def fill(folder: Path) -> None:
    (folder / "state.bin").write_bytes(bytes(1000))


def put(root: Path) -> None:
    """As a job does: found, or made."""
    store = Store(root)
    if store.find("trials", KEY) is None:
        store.put("trials", KEY, RECORD, fill)


def in_a_process(act: Callable[[], None], fault: Fault) -> int:
    """Act in a forked process with a faulty disk: how it ended, 0 where nothing struck."""
    child = os.fork()
    if not child:
        disk.in_use = FaultyDisk(fault)
        try:
            act()
        except HomeError:
            os._exit(2)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("kind", "code"), [("fail", 2), ("truncate", -signal.SIGKILL), ("stop", -signal.SIGKILL)])
def test_an_entry_is_whole_or_is_made_again(tmp_path: Path, kind: str, code: int) -> None:
    codes = []
    for at in range(1, 20):
        root = tmp_path / f"{at}" / "store"
        codes.append(in_a_process(lambda root=root: put(root), Fault(kind, at, str(tmp_path / f"count-{at}"))))
        found = Store(root).find("trials", KEY)
        assert found is None or (found.record == RECORD and found.file("state.bin").read_bytes() == bytes(1000))
        put(root)
        found = Store(root).find("trials", KEY)
        assert found is not None
        assert found.record == RECORD
        if codes[-1] == 0:
            break
    # the record; two files, the folder; the rename; the folder above
    assert codes == [code] * 6 + [0]


@pytest.mark.parametrize("kind", ["fail", "truncate", "stop"])
def test_a_file_of_a_study_is_the_old_one_or_the_new_one(tmp_path: Path, kind: str) -> None:
    """Half of it can only be there where the disk forgets what was flushed, which a rename waits for."""
    path, codes = tmp_path / "plan.json", []
    for at in range(1, 20):
        write_text(path, '{"plan": "old"}')
        text = '{"plan": "' + "new" * 100 + '"}'
        fault = Fault(kind, at, str(tmp_path / f"count-{at}"), operations=("write", "flush"))
        codes.append(in_a_process(lambda text=text: write_text(path, text), fault))
        assert json.loads(path.read_text())["plan"][:3] in ("old", "new")
        if codes[-1] == 0:
            break
    assert len(codes) == 4


def test_a_flipped_bit_is_found_by_its_digest_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path)
    path = Store(tmp_path).folder("trials", KEY) / "state.bin"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    assert Store(tmp_path).find("trials", KEY) is None
    assert "trials/ab" in caplog.text
    assert "state.bin was altered" in caplog.text
    assert "will be made again" in caplog.text
