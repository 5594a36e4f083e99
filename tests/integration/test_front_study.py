"""A study under objective=pareto as a person starts it: within its trials and its limits, and told truthfully."""

import json

from tests.integration.conftest import INLINE, TINY, Runner

LARGEST = 60_000  # parameters; the first network has more


def test_a_front_keeps_to_its_trials_and_limits(runner: Runner) -> None:
    wishes = ("model.width=1", f"objective.max_params={LARGEST}", "objective.front_size=3", "budget.trials=9")
    done = runner.run("run", *TINY, *INLINE, "objective=pareto", *wishes, "study=front")
    assert (done.returncode, done.stderr) == (0, "")
    summary = runner.summary("front")
    ledger = json.loads((runner.home / summary["ledger"]).read_text())
    assert summary["trials"]["count"] <= 9
    assert len(ledger["generations"]) == 1
    assert 1 <= len(summary["front"]) <= len(ledger["final"]) <= 3
    assert all(one["params"] <= LARGEST for one in (*summary["front"], summary["champion"]))
    assert "are left out" in done.stdout
    assert "1 of 2 edits led to it" in " ".join(done.stdout.split())
