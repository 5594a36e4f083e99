from made_up_study import made_up_view

from modules.report.lineage import placed_trials


def test_each_generation_begins_where_its_parent_ended() -> None:
    view = made_up_view(3)
    trunk = [each for each in placed_trials(view) if each.standing == "trunk"]
    assert [each.offset for each in trunk] == [0, 96_000, 120_000, 144_000]
    assert [each.trial.key for each in trunk[1:]] == [each.winner_trial for each in view.ledger.generations]


def test_only_what_starts_from_scratch_begins_anew() -> None:
    view = made_up_view(3)
    final = {each.label: each.offset for each in placed_trials(view) if each.label.startswith("final")}
    assert final == {"final: continued": 168_000, "final: from scratch": 0}


def test_trials_that_are_not_at_hand_are_left_out() -> None:
    view = made_up_view(2)
    gone = view.ledger.generations[0].winner_trial
    trials = {key: trial for key, trial in view.trials.items() if key != gone}
    placed = placed_trials(view.updated(trials=trials))
    assert gone not in {each.trial.key for each in placed}
    assert len(placed) == len(placed_trials(view)) - 1
