from xml.etree import ElementTree

import pytest

from modules.records import Interval
from modules.report.credit import credit_cells, credit_figure, credit_headline
from modules.report.tuning_figures import tuning_captions, tuning_figures
from modules.search.credits import Contribution, Credits
from modules.search.tries import Try, Tuning
from modules.space import Choice, Condition, Real, Space, Whole

SPACE = Space(
    name="made-up",
    parameters=(
        Choice(key="optimizer", values=("adamw", "sgd")),
        Real(key="rate", low=1e-4, high=1.0, log=True),
        Real(key="momentum", low=0.0, high=0.9, condition=Condition(key="optimizer", values=("sgd",))),
    ),
)


def tries(count):
    for number in range(count):
        values = {"optimizer": ("adamw", "sgd")[number % 2], "rate": 10 ** -(number % 4 + 0.5)}
        values |= {"momentum": 0.5} if number % 2 else {}
        state = ("complete", "complete", "stopped", "failed")[number % 4]
        losses = () if state == "failed" else (1 / (number + 1),)
        yield Try(
            number=number, values=values, state=state, losses=losses, params=100 + number, flops=number, error=0.1
        )


@pytest.fixture(scope="module")
def tuning():
    found = {"rate": 0.7, "optimizer": 0.3}
    return Tuning(
        when="sweep", space=SPACE, figures=("loss", "params"), tries=tuple(tries(12)), rungs=(10, 30), importances=found
    )


def test_every_picture_is_drawn_and_told(tuning):
    pictures = tuning_figures(tuning)
    assert set(pictures) == {"history", "importances", "parallel_coordinates", "slices", "front"}
    assert set(pictures) <= set(tuning_captions(tuning))
    for svg in pictures.values():
        ElementTree.fromstring(svg)
        assert len(svg) < 200_000
    assert "optimizer" in pictures["parallel_coordinates"]
    assert "most of all rate" in tuning_captions(tuning)["importances"]


def test_importances_under_a_condition_are_told_apart(tuning):
    conditional = tuning.updated(conditional_importances={"momentum (optimizer=sgd)": 0.4})
    assert "momentum (optimizer=sgd)" in tuning_figures(conditional)["importances"]
    assert "among the tries that meet it" in tuning_captions(conditional)["importances"]
    assert "among the tries that meet it" not in tuning_captions(tuning)["importances"]
    alone = conditional.updated(importances={})
    assert "most of all none" not in tuning_captions(alone)["importances"]
    assert "importances" in tuning_figures(alone)


ADAMW, SGD = (Condition(key="optimizer", values=(name,)) for name in ("adamw", "sgd"))


@pytest.mark.parametrize(
    ("first", "second", "values"),
    [
        (
            Real(key="decay", low=1e-4, high=1.0, log=True, condition=ADAMW),
            Real(key="decay", low=0.0, high=0.01, condition=SGD),
            (0.5, 0.0),
        ),
        (
            Choice(key="batch", values=(32, 64), condition=ADAMW),
            Whole(key="batch", low=16, high=128, condition=SGD),
            (64, 48),
        ),
        (
            Choice(key="batch", values=("all", 64), condition=ADAMW),
            Whole(key="batch", low=16, high=128, condition=SGD),
            ("all", 48),
        ),
    ],
    ids=["a log scale and a zero", "a choice of numbers and a range", "a choice of words and a range"],
)
def test_a_key_of_two_kinds_is_drawn_under_both_conditions(first, second, values):
    space = Space(name="mixed", parameters=(Choice(key="optimizer", values=("adamw", "sgd")), first, second))
    found = tuple(
        Try(
            number=number,
            values={"optimizer": ("adamw", "sgd")[number % 2], first.key: values[number % 2]},
            state="complete",
            losses=(1 / (number + 1),),
        )
        for number in range(4)
    )
    pictures = tuning_figures(Tuning(when="sweep", space=space, tries=found, rungs=(10,)))
    assert set(pictures) == {"history", "parallel_coordinates", "slices"}
    for svg in pictures.values():
        ElementTree.fromstring(svg)


def test_a_search_in_which_all_failed_has_nothing_to_show():
    failed = Try(number=0, values={}, state="failed", reason="its loss exploded")
    tuning = Tuning(when="sweep", space=SPACE, tries=(failed,))
    assert tuning_figures(tuning) == {}
    assert "none ended" in tuning_captions(tuning)["history"]


def contribution(name, low, estimate, high):
    interval = Interval(estimate=estimate, low=low, high=high, standard_error=0.01)
    return Contribution(
        name=name, what="x", error=0.1 + estimate, bought_error=interval, bought_seconds=-3.0, bought_wh=None, params=10
    )


def test_credit_says_what_is_clear_and_what_cost():
    found = (
        contribution("schedule", 0.01, 0.02, 0.03),
        contribution("prior", -0.1, 0.0, 0.1),
        contribution("averaging", -0.03, -0.02, -0.01),
    )
    credits = Credits(
        study="s", seeds=(0, 1), samples=1000, num_images=158, error=0.1, seconds=9.0, contributions=found
    )
    assert credit_cells(found[0])[3] == "+2.00 (+1.00 to +3.00)"
    said = credit_headline(credits)
    assert "clearly bought something: schedule; cost something: averaging. " in said
    assert "without range tests" in said
    ElementTree.fromstring(credit_figure(credits))
