from made_up_study import made_up_view

from modules.records import Part, Step
from modules.report.lineage import placed_trials
from modules.report.view import StudyView


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


def step(trial: str, first_sample: int) -> Step:
    return Step(trial=trial, seed=0, slice={"first_sample": first_sample}, schedule=Part(target="constant"))


def offsets(view: StudyView) -> dict[str, int]:
    placed = placed_trials(view)
    assert len({each.trial.key for each in placed}) == len(placed)
    return {each.trial.key: each.offset for each in placed}


def test_a_single_training_has_one_curve() -> None:
    view = made_up_view(1)
    only = view.ledger.baseline
    row = view.ledger.final[0].updated(edit="final: baseline", trials=(only,))
    ledger = view.ledger.updated(generations=(), final=(row,), lineage=(step(only, 0),))
    assert offsets(view.updated(ledger=ledger)) == {only: 0}


def test_tries_of_a_sweep_that_are_trained_to_the_end_begin_where_their_last_leg_does() -> None:
    view = made_up_view(1)
    leg, other_leg, judged, other = list(view.trials)[:4]
    rows = [row.updated(trials=(key,)) for row, key in zip(view.ledger.final, (judged, other), strict=True)]
    final = (rows[0].updated(edit="final: front 1"), rows[1].updated(edit="final: front 2"))
    lineage = (step(leg, 0), step(other_leg, 96_000), step(judged, 120_000))
    ledger = view.ledger.updated(baseline=leg, generations=(), final=final, lineage=lineage)
    assert offsets(view.updated(ledger=ledger)) == {leg: 0, other_leg: 96_000, judged: 120_000, other: 120_000}


def on_a_front() -> tuple[StudyView, str]:
    """Generation 1 keeps an edit; generations 2 and 3 begin from its control. Another edit of 3 wins."""
    view = made_up_view(3)
    first, second, third = view.ledger.generations
    parent = first.rows[0].recipe
    control = second.rows[0].updated(recipe=parent, parent=parent)
    second = second.updated(parent=parent, rows=(control, *second.rows[1:]))
    third = third.updated(parent=parent)
    won = next(row for row in third.rows if not row.kept and row.edit != "control").trials[0]
    continued, other = view.ledger.final
    lineage = (
        step(view.ledger.baseline, 0),
        step(first.rows[0].trials[0], 96_000),
        step(control.trials[0], 120_000),
        step(won, 144_000),
        step(continued.trials[0], 168_000),
    )
    final = (continued.updated(edit="final: front 1"), other.updated(edit="final: front 2", parent=first.winner))
    ledger = view.ledger.updated(generations=(first, second, third), final=final, lineage=lineage)
    return view.updated(ledger=ledger, summary={**view.summary, "front": [{}]}), won


def test_on_a_front_each_generation_begins_where_the_member_stopped_that_it_began_from() -> None:
    view, _ = on_a_front()
    found = offsets(view)
    starts = [{found[key] for row in each.rows for key in row.trials} for each in view.ledger.generations]
    assert starts == [{96_000}, {120_000}, {144_000}]
    assert [found[row.trials[0]] for row in view.ledger.final] == [168_000, 120_000]
    untold = view.ledger.updated(lineage=())
    assert offsets(view.updated(ledger=untold)) == found | {view.ledger.final[0].trials[0]: 168_000}


def test_on_a_front_the_line_of_the_winner_is_its_own() -> None:
    view, won = on_a_front()
    line = [each.trial.key for each in placed_trials(view) if each.standing == "trunk"]
    assert won in line
    assert not {each.winner_trial for each in view.ledger.generations} & {*line}
    assert line == [one.trial for one in view.ledger.lineage[:-1]]
