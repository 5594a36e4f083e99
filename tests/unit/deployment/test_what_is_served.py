"""Which bundle `espalier serve NAME` serves at each moment."""

import json
import shutil

import pytest

from flows.live import Current
from modules.deployment.bundles import find_bundle
from modules.deployment.promotions import promote
from modules.errors import DeploymentError


@pytest.fixture
def own(weak, good, tmp_path):
    """A home of its own with two bundles, where nothing was promoted."""
    for bundle in (weak, good):
        shutil.copytree(bundle, tmp_path / "bundles/tiny" / bundle.name)
    shutil.copytree(weak.parents[2] / "store", tmp_path / "store")
    return tmp_path


def make_newest(own, bundle):
    """One more bundle of the model, made after all others."""
    newest = shutil.copytree(bundle, bundle.with_name("newest"))
    manifest = json.loads((newest / "bundle.json").read_text())
    (newest / "bundle.json").write_text(json.dumps({**manifest, "made_at": 2e9}))
    assert find_bundle("tiny", own) == newest


def test_a_model_follows_the_gate_from_the_first_promotion_on(own, weak):
    one = own / "bundles/tiny" / weak.name
    current = Current("tiny", own)
    first = current()
    make_newest(own, one)
    assert current() == first  # nothing is live: it stays with what it found
    assert promote(one, own).action == "promoted"
    assert current() == one
    assert Current("tiny", own)() == one


def test_what_is_live_and_altered_is_an_error_until_it_is_whole_again(own, weak):
    one = own / "bundles/tiny" / weak.name
    current = Current("tiny", own)
    promote(one, own)
    card = (one / "MODEL_CARD.md").read_text()
    (one / "MODEL_CARD.md").write_text("")
    for _ in range(2):
        with pytest.raises(DeploymentError, match=r"was altered: MODEL_CARD\.md"):
            current()
    (one / "MODEL_CARD.md").write_text(card)
    assert current() == one


def test_a_study_stays_with_the_bundle_that_it_had(own, weak):
    summary = own / "studies/mine/summary.json"
    summary.parent.mkdir(parents=True)
    summary.write_text(json.dumps({"bundle": f"bundles/tiny/{weak.name}"}))
    current = Current("mine", own)
    assert current() == own / "bundles/tiny" / weak.name
    summary.unlink()  # it is run again from the start
    assert current() == own / "bundles/tiny" / weak.name
