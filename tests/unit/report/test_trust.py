import pytest
from made_up_explanation import made_up_explanation
from made_up_study import made_up_view
from test_report import selection_view

from modules.report.report import report_html
from modules.report.trust import trust
from modules.report.view import BundleView


def test_a_reader_learns_what_each_figure_rests_on():
    bundle = BundleView(folder="b", checks=("All give the same class.", "More."), gate="It went live.")
    view = made_up_view().updated(explanation=made_up_explanation(), selection=selection_view(), bundle=bundle)
    said = dict(trust(view))
    assert list(said) == ["Test error", "Edits", "Validation error", "What it looks at", "Labels", "Deployment"]
    assert "with 95 % confidence between 0.20 and 0.41 %" in said["Test error"]
    assert "has opened the test set 7 times" in said["Test error"]
    assert said["Edits"].startswith("2 of the 3 kept edits confirmed")
    assert "below 0.0058 nats would have been missed" in said["Edits"]
    assert "71% of what speaks" in said["What it looks at"]
    assert said["Labels"].startswith("54 of the images")
    assert said["Deployment"] == "All give the same class. It went live."
    page = report_html(view)
    for sentence in said.values():
        assert sentence in page
    assert 'href="#what-is-deployed"' in page
    assert 'id="what-is-deployed"' in page


def test_what_was_not_looked_at_is_not_praised():
    explanation = made_up_explanation()
    methods = tuple(method.updated(shown=False) for method in explanation.methods)
    unseen = explanation.updated(methods=methods, focus=())
    said = dict(trust(made_up_view().updated(explanation=unseen)))
    assert said["What it looks at"] == "It was not looked at: no method passed its checks."
    said = dict(trust(made_up_view().updated(explanation=explanation.updated(focus=()))))
    assert said["What it looks at"] == "Nothing that looks like a shortcut."


@pytest.mark.parametrize(
    ("confirmed", "start"), [(False, "None of the 3 kept edits is confirmed"), (None, "None of the 3 kept edits")]
)
def test_what_is_not_confirmed_is_not_claimed(confirmed, start):
    view = made_up_view()
    generations = tuple(
        each.updated(rows=tuple(row.updated(confirmed=confirmed) for row in each.rows))
        for each in view.ledger.generations
    )
    said = dict(trust(view.updated(ledger=view.ledger.updated(generations=generations))))
    assert said["Edits"].startswith(start)


def test_a_first_opening_says_so_and_no_winner_nothing():
    view = made_up_view(1)
    assert "never before on this machine" in dict(trust(view.updated(machine_test_openings=1)))["Test error"]
    assert trust(view.updated(summary={**view.summary, "champion": None})) == []
