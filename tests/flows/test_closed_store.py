"""Entries of a store that older versions made for their maker alone, where a team shares it."""

import pytest

from flows.doctor import _closed_entries
from modules.store import Store


@pytest.fixture
def entries(tmp_path):
    """The folders of three entries of a store that is open to all."""
    store = Store(tmp_path / "store of all")
    folders = [store.put("trials", f"{number:02d}" + "0" * 30, {}).folder for number in range(3)]
    for folder in folders:
        folder.chmod(0o755)
        folder.parent.chmod(0o755)
    return folders


def closed(entries):
    return list(_closed_entries(entries[0].parents[2]))


def test_entries_that_shut_others_out_are_named_with_the_command(entries):
    for entry in entries[:2]:
        entry.chmod(0o700)
    (finding,) = closed(entries)
    assert finding.what == "store"
    assert finding.seen == "2 of 3 entries cannot be read by all who can read their folders"
    assert finding.remedy == f"whoever owns them: chmod -R go+rX '{entries[0].parents[2]}'"


def test_a_store_of_a_group_is_opened_to_the_group_alone(entries):
    for entry in entries:
        entry.parent.chmod(0o750)
        entry.chmod(0o700)
    (finding,) = closed(entries)
    assert "chmod -R g+rX " in finding.remedy


def test_what_is_open_or_meant_to_be_closed_is_well(entries):
    assert closed(entries) == []
    for entry in entries:
        entry.parent.chmod(0o700)
        entry.chmod(0o700)
    assert closed(entries) == []


def test_what_is_being_written_or_removed_is_no_entry(entries):
    entries[0].chmod(0o700)
    entries[0].rename(entries[0].with_name(".removing-it-1"))
    assert closed(entries) == []
    assert list(_closed_entries(entries[0].parents[2] / "nowhere")) == []
