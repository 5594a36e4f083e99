import multiprocessing
import shutil

import pytest

from flows.bundle_reporting import bundle_view
from modules.deployment.promotions import bundle_of, live_promotion, promote, promotions, promotions_path, rollback
from modules.errors import DeploymentError


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


def test_what_cannot_be_done_is_one_sentence(own, good_one):
    with pytest.raises(DeploymentError, match="nothing to go back to for 'other': it was never live"):
        rollback("other", own)
    promote(good_one, own)
    with pytest.raises(DeploymentError, match="is live already"):
        promote(good_one, own)


def test_an_altered_bundle_goes_live_no_more(own, weak_one, good_one):
    promote(weak_one, own)
    promote(good_one, own)
    with (weak_one / "README.md").open("a") as file:
        file.write(" ")
    with pytest.raises(DeploymentError, match=r"was altered: README.md"):
        rollback("tiny", own)
    assert live_promotion("tiny", own).version == good_one.name


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
