import errno
import fcntl
import json
import multiprocessing
import os
import re
import shutil

import pytest

from flows.bundle_reporting import bundle_view
from flows.live import said
from modules import disk
from modules.deployment.bundles import manifest_of
from modules.deployment.promotions import (
    bundle_of,
    live_promotion,
    promote,
    promotions,
    promotions_path,
    refuse,
    rollback,
)
from modules.errors import DeploymentError, HomeError


@pytest.fixture
def own(home, good, weak, tmp_path):
    """A home of its own with the bundles, where nothing was promoted."""
    own = tmp_path / "own"
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("promotions.jsonl", "gate-images"))
    return own


@pytest.fixture
def weak_one(own, weak):
    return own / "bundles/tiny" / weak.name


@pytest.fixture
def good_one(own, good):
    return own / "bundles/tiny" / good.name


def test_what_is_live_is_what_passed_last_and_is_kept(own, weak_one, good_one):
    assert live_promotion("tiny", own) is None
    first, second = promote(weak_one, own), promote(good_one, own)
    assert (first.action, first.previous) == ("promoted", None)
    assert (second.action, second.previous) == ("promoted", weak_one.name)
    assert second.reasons[0].startswith("it is better")
    assert live_promotion("tiny", own) == second
    assert bundle_of(first, own) == weak_one


def test_one_that_is_refused_is_written_down_and_changes_nothing(own, weak_one, good_one):
    promote(good_one, own)
    refused = promote(weak_one, own)
    assert refused.action == "refused"
    assert refused.reasons
    assert live_promotion("tiny", own).version == good_one.name
    assert [line.action for line in promotions(own)] == ["promoted", "refused"]


def test_a_rollback_goes_back_one_step_at_a_time(own, weak_one, good_one):
    promote(weak_one, own)
    promote(good_one, own)
    back = rollback("tiny", own)
    assert (back.version, back.previous) == (weak_one.name, good_one.name)
    assert live_promotion("tiny", own).version == weak_one.name
    with pytest.raises(DeploymentError, match=f"only {weak_one.name} was ever live"):
        rollback("tiny", own)
    assert promote(good_one, own).action == "promoted"
    assert rollback("tiny", own).version == weak_one.name


def test_where_nothing_can_be_locked_nothing_is_decided(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(HomeError, match="its file system knows no locks"):
        rollback("tiny", tmp_path)


def test_what_cannot_be_done_is_one_sentence(own, good_one):
    with pytest.raises(DeploymentError, match="nothing to go back to for 'other': it was never live"):
        rollback("other", own)
    promote(good_one, own)
    with pytest.raises(DeploymentError, match="is live already"):
        promote(good_one, own)


def test_an_altered_bundle_goes_live_no_more(own, weak_one, good_one):
    promote(weak_one, own)
    promote(good_one, own)
    with (weak_one / "MODEL_CARD.md").open("a") as file:
        file.write(" ")
    with pytest.raises(DeploymentError, match=r"was altered: MODEL_CARD.md"):
        rollback("tiny", own)
    assert live_promotion("tiny", own).version == good_one.name


@pytest.mark.parametrize("what", ["gone", "altered"])
def test_a_rollback_passes_over_a_bundle_that_is_no_longer_what_was_promoted(own, weak_one, good_one, what):
    between = shutil.copytree(weak_one, weak_one.with_name("between"))
    promote(weak_one, own)
    line = live_promotion("tiny", own).updated(version="between", previous=weak_one.name)
    with promotions_path(own).open("a") as file:
        file.write(json.dumps(line.model_dump(mode="json")) + "\n")
    promote(good_one, own)
    assert live_promotion("tiny", own).previous == "between"
    if what == "gone":
        shutil.rmtree(between)
    else:
        (between / "MODEL_CARD.md").write_text("")
    back = rollback("tiny", own)
    assert (back.version, back.previous) == (weak_one.name, good_one.name)
    assert str(between) in back.reasons[1]
    assert live_promotion("tiny", own).version == weak_one.name
    with pytest.raises(DeploymentError, match=f"only {weak_one.name} was ever live"):
        rollback("tiny", own)


def test_a_bundle_that_lies_elsewhere_is_refused_as_nobody_would_find_it(own, good_one, tmp_path):
    elsewhere = shutil.copytree(good_one, tmp_path / "from a colleague")
    with pytest.raises(DeploymentError, match=f"lies elsewhere than what can go live here; allowed is {good_one}"):
        promote(elsewhere, own)
    assert promotions(own) == []


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ("gate-images", r"the images of the gate in .* were altered \(labels.npy\)"),
        ("data", "the images that bundle .* was trained on are gone from"),
        ("live", "was altered: MODEL_CARD.md"),
    ],
)
def test_one_that_cannot_be_judged_is_refused_and_written_down(own, weak_one, good_one, spoilt, reason):
    promote(weak_one, own)
    data = manifest_of(good_one).data
    if spoilt == "gate-images":
        (own / "bundles/tiny/gate-images/labels.npy").write_bytes(b"")
    elif spoilt == "data":
        (own / data.folder / "images.npy").unlink()
    else:
        (weak_one / "MODEL_CARD.md").write_text("")
    refused = promote(good_one, own)
    assert (refused.action, refused.study, refused.data) == ("refused", "good", data.digest)
    assert re.search(reason, refused.reasons[0])
    assert promotions(own)[-1] == refused


def test_the_first_bundle_of_a_model_is_refused_where_its_images_are_gone(own, good_one):
    shutil.rmtree(own / manifest_of(good_one).data.folder)
    assert "are gone from" in promote(good_one, own).reasons[0]
    assert not (own / "bundles/tiny/gate-images").exists()


def test_a_study_without_a_bundle_is_written_down_too(own, good_one):
    promote(good_one, own)
    line = refuse("tiny", "tonight", "d" * 32, "it has no bundle", own)
    assert promotions(own)[-1] == line
    assert (line.version, line.previous, line.data) == (None, good_one.name, "d" * 32)
    assert said(line) == f"tiny does not go live: it has no bundle; {good_one.name} stays live"
    assert live_promotion("tiny", own).version == good_one.name


class _Full(disk.Disk):
    """A disk on which half of a line still fits."""

    def append(self, path, content):
        super().append(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "full")


def test_a_disk_that_runs_full_changes_nothing_of_what_is_live(own, weak_one, good_one, monkeypatch):
    promote(weak_one, own)
    monkeypatch.setattr(disk, "in_use", _Full())
    with pytest.raises(HomeError, match="there is no space left"):
        promote(good_one, own)
    monkeypatch.undo()
    assert live_promotion("tiny", own).version == weak_one.name
    promote(good_one, own)
    assert [line.version for line in promotions(own)] == [weak_one.name, good_one.name]


def test_a_line_that_was_being_written_at_a_kill_is_none(own, weak_one, good_one):
    promote(weak_one, own)
    path = promotions_path(own)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"schema_version": 1, "at"')
    assert live_promotion("tiny", own).version == weak_one.name
    promote(good_one, own)
    assert path.read_bytes().startswith(whole)
    assert [line.version for line in promotions(own)] == [weak_one.name, good_one.name]


def test_a_line_that_is_not_ours_is_refused(own, weak_one):
    promote(weak_one, own)
    with promotions_path(own).open("a") as file:
        file.write("{}\n")
    with pytest.raises(DeploymentError, match="a line that this program did not write"):
        live_promotion("tiny", own)


def _try(bundle, own, queue):
    try:
        queue.put(promote(bundle, own).action)
    except DeploymentError as error:
        queue.put("already" if "already" in str(error) else str(error))


def test_two_at_once_decide_one_after_the_other(own, good_one):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_try, args=(good_one, own, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    answers = sorted(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert answers == ["already", "promoted"]
    assert len(promotions(own)) == 1


def test_the_report_says_what_was_checked_and_what_the_gate_decided(own, good_one, weak_one):
    name = str(good_one.relative_to(own))
    before = bundle_view(own, name)
    assert before is not None
    assert "give the same class for all 20 test images" in before.checks[0]
    assert "has not been to the gate" in before.gate
    promote(good_one, own)
    promote(weak_one, own)
    live, refused = bundle_view(own, name), bundle_view(own, str(weak_one.relative_to(own)))
    assert live is not None
    assert live.gate.startswith("It went live on 20")
    assert refused is not None
    assert refused.gate.startswith("The gate refused it on 20")
    assert bundle_view(own, None) is None
    assert bundle_view(own, "bundles/tiny/gone") is None


def test_the_report_says_what_took_a_bundles_place_and_that_it_was_taken_back(own, good_one, weak_one):
    promote(weak_one, own)
    promote(good_one, own)
    first, second = (str(each.relative_to(own)) for each in (weak_one, good_one))
    assert bundle_view(own, first).gate.startswith(f"{good_one.name} took its place on 20")
    rollback("tiny", own)
    assert bundle_view(own, first).gate.startswith("It went live again on 20")
    assert bundle_view(own, second).gate.startswith("It was taken back on 20")


def test_the_report_says_of_an_altered_bundle_that_it_is(own, good_one):
    (good_one / "MODEL_CARD.md").write_text("")
    view = bundle_view(own, str(good_one.relative_to(own)))
    assert view.checks == ()
    assert "was altered: MODEL_CARD.md" in view.gate
