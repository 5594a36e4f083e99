import pytest
from made_up_counters import write_counter

from modules.energy.counters import find_counters, joules_between


def test_packages_and_memory_count_and_their_parts_do_not(tmp_path):
    write_counter(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    write_counter(tmp_path, "intel-rapl:0:0", "core", 3_000_000)
    write_counter(tmp_path, "intel-rapl:0:1", "dram", 11_000_000)
    write_counter(tmp_path, "intel-rapl:1", "package-1", 90_000_000)
    write_counter(tmp_path, "intel-rapl:2", "psys", 200_000_000)
    assert [counter.joules for counter in find_counters(tmp_path)] == pytest.approx([5.0, 11.0, 90.0])


def test_a_counter_that_is_shown_for_each_die_counts_once(tmp_path):
    write_counter(tmp_path, "intel-rapl:0", "package-0", 5_000_000_000)
    write_counter(tmp_path, "intel-rapl:1", "package-0-die-1", 5_000_300_000)
    assert len(find_counters(tmp_path)) == 1


def test_where_there_is_nothing_nothing_is_found(tmp_path):
    assert find_counters(tmp_path) == ()
    assert find_counters(tmp_path / "missing") == ()


def test_a_counter_goes_round(tmp_path):
    write_counter(tmp_path, "intel-rapl:0", "package-0", 0, largest=1_000_000_000)
    (counter,) = find_counters(tmp_path)
    assert joules_between(10.0, 25.0, counter) == 15.0
    assert joules_between(990.0, 5.0, counter) == 15.0
