"""What a trial under way says where there is no terminal."""

import io

import pytest
from rich.console import Console

from flows import progress as progress_module
from flows.progress import Progress


@pytest.fixture
def said(monkeypatch):
    clock = iter(range(0, 100_000, 6))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: float(next(clock)))
    return io.StringIO()


def report(samples, **more):
    return {"samples": samples, "total_samples": 1000, "epoch": samples / 100, "train_loss": 0.5, "retreats": 0, **more}


def test_lines_say_how_far_it_is_and_how_long_it_takes(said):
    progress = Progress(Console(file=said, width=200))
    with progress.trial("baseline seed 0") as say:
        for samples in (100, 200, 300):
            say(report(samples))
        say(report(400, steer_error=0.0123))
    lines = said.getvalue().splitlines()
    assert lines
    assert "baseline seed 0: 40% · epoch 4.0 · loss 0.500 · steer 1.23%" in lines[-1]
    assert lines[-1].endswith("left")


def test_a_last_batch_goes_no_further_than_all(said):
    progress = Progress(Console(file=said, width=200))
    with progress.trial("baseline seed 0") as say:
        for samples in (500, 1270):
            say(report(samples))
    assert "baseline seed 0: 100% · epoch 12.7" in said.getvalue()
    assert said.getvalue().rstrip().endswith("0 s left")


def test_going_back_is_said_once(said):
    progress = Progress(Console(file=said, width=200))
    with progress.trial("baseline seed 0") as say:
        say(report(100))
        say(report(50, retreats=1))
        say(report(80, retreats=1))
    assert said.getvalue().count("the loss exploded; went back with half the rate") == 1


def test_a_training_that_goes_on_is_not_credited_with_what_it_found(said):
    progress = Progress(Console(file=said, width=200))
    with progress.trial("baseline seed 0") as say:
        say(report(900))
        say(report(901))
        say(report(902))
    assert "900/s" not in said.getvalue()
    assert "/s" in said.getvalue()


def test_trials_side_by_side_share_a_display_that_ends_with_the_last():
    progress = Progress(Console(file=io.StringIO(), width=200, force_terminal=True))
    with progress.trial("control seed 0") as first:
        with progress.trial("widen_layer seed 0") as second:
            bars = progress._bars
            for report_of in (first, second):
                report_of(report(100))
            assert [task.description for task in bars.tasks] == ["control seed 0", "widen_layer seed 0"]
            assert [task.completed for task in bars.tasks] == [100, 100]
        assert progress._bars is bars
        assert [task.description for task in bars.tasks] == ["control seed 0"]
    assert progress._bars is None
    with progress.trial("another") as again:
        again(report(1))
