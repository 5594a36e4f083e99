import io

import numpy as np
import pytest
from made_up_study import made_up_view
from rich.console import Console

from modules.report.comparison import ComparedStudy, SeenImages, comparison, differences, differing_keys, figures

VIEW = made_up_view(2)


def seen(*wrong: int, count: int = 400, first: int = 0) -> SeenImages:
    places = np.arange(count)
    return SeenImages((places + first).astype(np.uint64), places % 10, np.isin(places, wrong))


def study(name: str, error: float = 0.01, **changes) -> ComparedStudy:
    summary = {**VIEW.summary, "champion": {**VIEW.summary["champion"], "test_error": error, "val_error": error}}
    made = ComparedStudy(name, summary, {}, VIEW.data, VIEW.ledger, {})
    return made._replace(**changes)


def test_every_figure_has_a_cell_a_study():
    rows = dict(figures([study("a"), study("b", 0.02)]))
    assert rows["state"] == ("completed", "completed")
    assert rows["test error"] == ("1.00\N{NO-BREAK SPACE}% (0.82 to 1.22)", "2.00\N{NO-BREAK SPACE}% (1.74 to 2.30)")
    assert rows["latency"] == ("0.310 ms", "0.310 ms")
    assert rows["time"] == ("25 min 43 s", "25 min 43 s")


def test_a_study_that_has_not_ended_is_shown_as_far_as_it_came():
    begun = ComparedStudy("begun", {}, {}, None, None, {})
    assert dict(figures([study("a"), begun]))["state"] == ("completed", "unfinished")
    assert (
        differences([study("a"), begun])[0] == "begun against a on test: nothing to compare, since not both have ended."
    )
    assert "begun" in shown(study("a"), begun)


def test_only_keys_that_differ_are_shown_and_parts_by_their_names():
    adamw = {"target": "torch.optim.AdamW", "arguments": {"weight_decay": 0.01}}
    sgd = {"target": "torch.optim.SGD", "arguments": {"momentum": 0.9}}
    shift = {"target": "modules.augmentation.shift.Shift", "arguments": {"max_pixels": 2.0}}
    ours = {"seed": 0, "optimizer": adamw, "augmentation": {"transforms": [shift]}, "objective": {"max_params": None}}
    theirs = {"seed": 1, "optimizer": sgd, "augmentation": {"transforms": []}, "objective": {"max_params": None}}
    rows = dict(differing_keys([study("a", settings=ours), study("b", settings=theirs)]))
    assert rows == {
        "seed": ("0", "1"),
        "optimizer": ("AdamW", "SGD"),
        "optimizer.weight_decay": ("0.01", "–"),
        "optimizer.momentum": ("–", "0.9"),
        "augmentation.transforms": ("Shift", "[]"),
        "augmentation.transforms.Shift.max_pixels": ("2.0", "–"),
    }


def test_the_same_images_are_compared_one_by_one():
    """Twelve errors more in one, where the others are the same: more than chance. One more: not."""
    few = study("few", 10 / 400, seen={"test": seen(*range(10))})
    many = study("many", 22 / 400, seen={"test": seen(*range(22))})
    said = differences([few, many])[0]
    assert said.startswith("many against few on test: +3.00 percentage points (+1.")
    assert "more than chance" in said
    assert said.endswith("Wrong in few alone: 0 of 400 images; in many alone: 12.")
    one_more = study("one more", 11 / 400, seen={"test": seen(*range(11))})
    assert "chance alone could have done this" in differences([few, one_more])[0]


def test_without_stored_outcomes_it_is_two_proportions():
    said = differences([study("a", 0.01), study("b", 0.02)])[0]
    assert "+1.00 percentage points (+0.66 to +1.35): more than chance" in said
    assert said.endswith("this is the interval of two proportions.")


def test_other_images_are_not_compared():
    other = VIEW.data.updated(digest="f" * 32)
    said = differences([study("a"), study("b", data=other)])
    assert "nothing to compare" not in said[0]
    assert said[1].endswith("nothing to compare, since they have other images there.")
    stored = [study("a", seen={"confirm": seen(1)}), study("b", data=other, seen={"confirm": seen(1, first=1)})]
    assert "other images" in differences(stored)[1]


def test_several_intervals_are_wider_than_one():
    alone, together = (differences([study("a"), *others])[0] for others in ([study("b", 0.02)], [study("b", 0.02)] * 3))
    assert "(+0.66 to +1.35)" in alone
    assert "(+0.59 to +1.42)" in together
    assert "The 3 intervals of a part hold together" in differences([study("a")] + [study("b")] * 3)[-2]


def shown(*studies: ComparedStudy, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(comparison(studies))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 100])
def test_a_person_sees_what_was_kept(width: int):
    lines = shown(study("a", settings={"seed": 1}), study("b", settings={"seed": 2}), width=width).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(" ".join(lines).split())
    for wanted in ("configuration, where it differs", "1: Widen", "(kept, confirmed)", "final: continued"):
        assert wanted in words
