from made_up_study import made_up_view

from modules.records import Part
from modules.report.augmentation import in_order, policy_markdown, summary_of_policy
from modules.report.report import report_html
from modules.search.augmentation import Candidate, Confusion, FoundPolicy

CLASSES = tuple("0123456789")


def candidate(name, kept, gain, why, **arguments):
    return Candidate(
        transform=Part(target=f"modules.augmentation.{name.lower()}.{name}", arguments=arguments),
        affinity=-0.25,
        diversity=1.5,
        cost=0.4,
        confusion=Confusion(of=2, taken_for=5, rise=0.34, images=100),
        change=0.1,
        gain=gain,
        kept=kept,
        why=why,
        picture=f"{name}0000",
    )


FLIP = candidate("Flip", False, None, "it breaks the meaning | of a label", direction="horizontal")
ROTATE = candidate("Rotate", True, 0.12, "training with it helps", max_degrees=20.0)
NOISE = candidate("Noise", False, -0.1, "training with it hurts", max_std=0.1)
FOUND = FoundPolicy(
    candidates=(FLIP, NOISE, ROTATE),
    transforms=(ROTATE.transform,),
    cost=0.4,
    noise=0.02,
    samples=60_000,
    seconds=40.0,
    unchanged="plain000",
)


def test_what_was_kept_comes_first_then_what_was_tried():
    assert in_order(FOUND) == [ROTATE, NOISE, FLIP]


def test_the_page_shows_figures_reasons_and_pictures():
    page = report_html(made_up_view().updated(found_policy=FOUND))
    assert "1 of 3 candidates were kept: Rotate, max_degrees 20." in page
    for one in FOUND.candidates:
        assert f"data:image/png;base64,{one.picture}" in page
        assert one.why in page
    for figure in ("−25.0 %", "1.50 ×", "+40 %", "2 for 5: +34 %", "+12.0 %"):
        assert figure in page
    assert "data:image/png;base64,plain000" in page
    assert "Affinity" not in report_html(made_up_view())


def test_the_table_has_a_row_for_each():
    table = policy_markdown(FOUND, CLASSES)
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert {line.count("|") for line in rows} == {8}
    assert rows[2].startswith("| **Rotate, max_degrees 20** |")
    assert "kept: training with it helps" in rows[2]


def test_a_policy_of_nothing_says_so():
    nothing = FOUND.updated(candidates=(FLIP, NOISE), transforms=())
    assert summary_of_policy(nothing) == "None of 2 candidates earned a place: images are not transformed."
