import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from made_up_explanation import made_up_explanation
from made_up_study import made_up_view, trial
from PIL import Image

from modules.data.corrections import SuspectedLabel
from modules.records import Interval, Ledger
from modules.report.contact_sheet import Picture, pictures_of, write_contact_sheet
from modules.report.palette import LIGHT
from modules.report.report import draw_figures, one_image_html, report_html, write_figures, write_report
from modules.report.view import SelectionView, StudyView
from modules.search.credits import Contribution, Credits
from modules.search.gears import Gears, TriedRate
from modules.search.learning_curve import fit_curve
from modules.search.selecting.found import Compared
from modules.search.transfer import Fitted, Heads


class Page(HTMLParser):
    """Every tag and all text; complains about tags that are not closed."""

    alone = frozenset({"meta", "br", "col", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.alone:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def view() -> StudyView:
    return made_up_view()


@pytest.fixture(scope="module")
def html(view: StudyView) -> str:
    return report_html(view)


def with_classes(view: StudyView, names: list[str]) -> StudyView:
    size = len(names)
    confusion = tuple(tuple(50 if a == b else int(b == (a + 1) % size) for b in range(size)) for a in range(size))
    return view.updated(data=view.data.updated(classes=tuple(names)), confusion=confusion)


def test_the_page_says_what_the_study_did(view: StudyView, html: str) -> None:
    page = Page(html)
    for generation in view.ledger.generations:
        for row in generation.rows:
            assert row.description in page.text
            assert row.reason in page.text
    assert "mnist-3fa9c1d2" in page.text
    assert "0.28\N{NO-BREAK SPACE}%" in page.text
    assert f"{view.summary['champion']['params']:,}" in page.text
    assert view.command in page.text
    assert view.data.notes[0] in page.text
    assert "opened 1× here, 7× on this machine" in page.text


def test_the_page_needs_nothing_from_outside(html: str) -> None:
    page = Page(html)
    assert not [tag for tag, _ in page.tags if tag in {"script", "link", "img", "iframe", "object"}]
    links = [value for _, attrs in page.tags for name, value in attrs.items() if name in {"src", "href", "xlink:href"}]
    assert all(value is not None and value.startswith("#") for value in links)
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_every_picture_is_described(html: str) -> None:
    page = Page(html)
    figures = [attrs for tag, attrs in page.tags if tag == "figure"]
    assert len(figures) == 5
    assert all(attrs.get("aria-label") for attrs in figures)


def test_pictures_follow_the_theme(html: str) -> None:
    body = html[html.index("<body>") :]
    assert "var(--good)" in body
    colours = set(re.findall(r"#[0-9a-f]{6}\b", body))
    assert colours <= {"#000000", "#ffffff"}, colours


def test_no_name_occurs_twice_with_another_meaning(html: str) -> None:
    clips = re.findall(r'<clipPath id="([^"]+)">(.*?)</clipPath>', html, flags=re.DOTALL)
    for name, content in clips:
        assert {other for again, other in clips if again == name} == {content}


def test_the_same_study_gives_the_same_bytes(view: StudyView, tmp_path: Path) -> None:
    write_report(tmp_path / "one.html", view)
    write_report(tmp_path / "two.html", made_up_view())
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.html", "two.html"]


def test_a_study_that_tried_no_edit_has_a_report() -> None:
    view = made_up_view()
    first = view.trials[view.ledger.baseline]
    lone = view.updated(ledger=Ledger(study="x", baseline=first.key), trials={first.key: first})
    page = Page(report_html(lone))
    assert "no edit was tried" in page.text


def test_a_study_that_was_cut_short_has_a_report() -> None:
    view = made_up_view(1)
    summary = {**view.summary, "state": "interrupted", "champion": None, "trials": None, "energy": None}
    page = Page(report_html(view.updated(summary=summary, confusion=None, plan={}, layers=(), versions={})))
    assert "interrupted" in page.text
    assert "The study did not end" in page.text


def test_a_study_without_trials_has_a_report() -> None:
    view = made_up_view(1)
    page = Page(report_html(view.updated(ledger=Ledger(study="x", baseline="none"), trials={}, confusion=None)))
    assert "No edit was tried." in page.text


def test_odd_names_stay_text() -> None:
    view = made_up_view(1)
    generation = view.ledger.generations[0]
    row = generation.rows[1].updated(edit="<b>widen</b>", description="a < b & c", verdict="<script>alert(1)</script>")
    rows = (generation.rows[0], row)
    ledger = view.ledger.updated(generations=(generation.updated(rows=rows),))
    odd = with_classes(
        view.updated(ledger=ledger), ["$5", "$10_2$", "<i>x</i>", "a&b", "数字", "]]>", "'", '"', "", "é"]
    )
    html = report_html(odd)
    page = Page(html)
    assert not [tag for tag, _ in page.tags if tag in {"script", "b", "i"}]
    for name in ("$10_2$", "<i>x</i>", "a&b", "数字", "<script>alert(1)</script>"):
        assert name in page.text


@pytest.mark.parametrize("size", [2, 47, 120])
def test_few_and_many_classes_are_drawn(view: StudyView, size: int) -> None:
    html = report_html(with_classes(view, [f"class number {number}" for number in range(size)]))
    assert len(html) < 2_000_000
    Page(html)


def test_figures_are_files_that_stand_alone(view: StudyView, tmp_path: Path) -> None:
    written = write_figures(tmp_path / "figures", view)
    names = ["loss_curves.svg", "error_curves.svg", "effects.svg", "confusion.svg", "family_tree.svg"]
    assert [path.name for path in written] == names
    for path in written:
        root = ElementTree.fromstring(path.read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(--" not in path.read_text()


def test_figures_that_would_be_empty_are_left_out(tmp_path: Path) -> None:
    view = made_up_view(1).updated(ledger=Ledger(study="x", baseline="none"), trials={}, confusion=None)
    assert [path.name for path in write_figures(tmp_path, view)] == ["family_tree.svg"]


def test_of_many_effects_those_that_were_kept_and_the_best_are_drawn() -> None:
    view = made_up_view(30)
    judged = [row for each in view.ledger.generations for row in each.rows if row.steer_effect]
    page = report_html(view)
    svg = draw_figures(view)["effects"]
    assert len(judged) > 60
    assert len(re.findall(r">\d+ [a-z]+_layer<", svg)) == 60
    for row in judged:
        assert not row.kept or f">{row.generation} {row.edit}<" in svg
    assert "of which 60, kept or best, are shown" in page


@pytest.mark.parametrize("num_looks", [1, 3])
def test_a_flat_and_a_perfect_curve_are_drawn(num_looks: int) -> None:
    view = made_up_view(1)
    perfect = trial(0, 100, 0, 1_000, 0.0, 0.0, "r")
    points = tuple(
        perfect.curve[0].updated(samples=1_000 * (look + 1), steer_loss=0.0, steer_error=0.0)
        for look in range(num_looks)
    )
    flat = perfect.updated(curve=points)
    study = view.updated(ledger=Ledger(study="x", baseline=flat.key), trials={flat.key: flat})
    for name in ("loss_curves", "error_curves"):
        root = ElementTree.fromstring(draw_figures(study)[name])
        curve = next(e.attrib for e in root.iter() if "clip-path" in e.attrib and LIGHT["good"] in e.get("style", ""))
        places = re.findall(r"[ML] ([\d.]+) ([\d.]+)", curve["d"])
        assert len({across for across, _ in places}) == num_looks
        (height,) = {float(height) for _, height in places}
        assert 0 < height < float(root.attrib["viewBox"].split()[3])
    assert len([tag for tag, _ in Page(report_html(study)).tags if tag == "svg"]) >= 2


SUSPECT = SuspectedLabel(
    identity="00000000000000ff", index=1, part="train", given="<3", suggested="8 & 9", confidence=0.913
)


def selection_view(**changes):
    interval = Interval(estimate=-0.012, low=-0.02, high=-0.004, standard_error=0.004)
    row = Compared(
        name="clean",
        num_images=950,
        samples=4000,
        seconds=12.0,
        trusted_loss=0.1,
        trusted_error=0.03,
        loss=0.6,
        error=0.12,
        effect=interval,
        against_random=interval,
        p_value=0.001,
        kept=True,
        verdict="kept",
    )
    control = row.updated(name="all", effect=None, against_random=None, kept=False, verdict="the reference")
    fields = {
        "sentences": ("trained on: 950 of 1,000 images (clean)", "class '<3' keeps all its images"),
        "compared": (control, row),
        "confirmed": interval,
        "confirmed_on_all": interval,
        "num_suspects": {"train": 50, "steer": 4, "confirm": 0},
        "pictures": (Picture(address="data:image/png;base64,AAAA", suspect=SUSPECT),),
        "sheet": "suspects-1.html",
        "corrections": "suspects-1.csv",
        "confirm_error": 0.11,
        "trusted_confirm_error": 0.02,
        "num_trials": 14,
        "samples": 123_000,
        "seconds": 77.0,
        "digest": "ab" * 16,
    }
    return SelectionView.model_validate({**fields, **changes})


def test_a_selection_that_was_found_is_shown_with_figures_for_both():
    study = made_up_view(1).updated(selection=selection_view())
    assert StudyView.model_validate_json(study.model_dump_json()) == study
    page = Page(report_html(study))
    text = " ".join(page.text.split())
    assert "Trained on: 950 of 1,000 images (clean)." in text
    for shown in (
        "12.00\N{NO-BREAK SPACE}%",
        "3.00\N{NO-BREAK SPACE}%",
        "11.00\N{NO-BREAK SPACE}%",
        "2.00\N{NO-BREAK SPACE}%",
    ):
        assert shown in page.text
    assert "50 of" in text
    assert "given <3rather 8 & 9, 91 %" in text
    assert f"selection=kept selection.digest={'ab' * 16}" in text
    assert ("img", {"src": "data:image/png;base64,AAAA", "alt": "train image 1"}) in page.tags


def test_a_selection_without_comparison_suspects_or_list():
    study = made_up_view(1).updated(
        selection=selection_view(
            compared=(), confirmed=None, confirmed_on_all=None, num_suspects={}, pictures=(), digest=None
        )
    )
    page = Page(report_html(study))
    assert "Selection of training images" in page.text
    assert "selection=kept" not in page.text
    assert "Suspected labels" not in page.text


def test_without_a_selection_nothing_is_said_of_one():
    assert "Selection of training images" not in report_html(made_up_view(1))


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 20, 3), (300, 100, 3), (1, 500, 1)])
def test_pictures_are_png_of_a_good_size(shape):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    (picture,) = pictures_of(images, [SUSPECT])
    head, _, content = picture.address.partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as opened:
        assert 32 < max(opened.size) <= 64
        if max(shape) <= 64:
            factor = opened.width // shape[1]
            shown = np.asarray(opened).reshape(opened.height, opened.width, -1)
            np.testing.assert_array_equal(shown, images[1].repeat(factor, axis=0).repeat(factor, axis=1))


def test_a_contact_sheet_names_the_file_and_each_identity(tmp_path):
    images = np.zeros((2, 8, 8, 1), dtype=np.uint8)
    write_contact_sheet(tmp_path / "sheet.html", "my <study>", "suspects-1.csv", images, [SUSPECT] * 2_001)
    page = Page((tmp_path / "sheet.html").read_text())
    text = " ".join(page.text.split())
    assert "my <study>: suspected labels" in text
    assert "suspects-1.csv" in text
    assert text.count("00000000000000ff") == 2_000
    assert "1 more are in the file alone" in text


def test_an_explanation_is_shown_with_what_is_suspicious_first() -> None:
    explained = made_up_view(1).updated(explanation=made_up_explanation())
    html = report_html(explained)
    page = Page(html)
    for text in (
        "What the winner looks at",
        "Look here: grad cam: 71% of what speaks",
        "not shown: its maps are much the same with random weights",
        "7 taken for 1: 3×",
        "the label 7 may be wrong",
        "divided by a temperature of 1.60",
        "The network is too sure of itself.",
    ):
        assert text in page.text, text
    assert page.text.index("Look here") < page.text.index("Taken for it")
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert (
        len(pictures) == 2 * 2 + 2 + 1 + 2
    )  # examples with the one method that is shown, a pair, an error's neighbours
    assert all(attrs["alt"] and str(attrs["src"]).startswith("data:image/png;base64,") for attrs in pictures)
    assert "occlusion of it" not in html
    assert "img-src data:" in html


def test_the_page_of_one_image() -> None:
    from modules.explanation.records import OneImage

    explanation = made_up_explanation()
    said = OneImage(
        probabilities={"seven": 0.9, "one": 0.1},
        image=explanation.examples[0].image,
        maps=explanation.examples[0].maps,
        notes=("grad_cam: passed",),
    )
    page = Page(one_image_html("<odd> name.png", said))
    assert "<odd> name.png: seven" in page.text
    assert "grad cam: passed" in page.text
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 2


def test_energy_says_how_it_is_known(view: StudyView, html: str) -> None:
    page = Page(html)
    assert "≈ 4 Wh" in page.text
    assert "good to a factor of two" in page.text
    assert "2 g of CO2 by DEU (381 g/kWh)" in page.text
    measured = {**view.summary["energy"], "measured": True, "method": "counters", "wh": 4.19}
    page = Page(report_html(view.updated(summary={**view.summary, "energy": measured})))
    assert "4.19 Wh" in page.text
    assert "factor of two" not in page.text


def test_what_each_automation_bought_is_shown_once_it_is_known(view: StudyView, html: str) -> None:
    bought = [("structure", 0.01, 0.004, 0.016), ("<averaging>", -0.002, -0.006, 0.002)]
    credits = Credits(
        study="made up",
        seeds=(0, 1),
        samples=100_000,
        num_images=2_000,
        error=0.05,
        seconds=60.0,
        contributions=tuple(
            Contribution(
                name=name,
                what="nothing",
                error=0.05 + estimate,
                bought_error=Interval(estimate=estimate, low=low, high=high, standard_error=0.003),
                bought_seconds=-3.0,
                bought_wh=None,
                params=1_000.0,
            )
            for name, estimate, low, high in bought
        ),
        unused=("selection",),
    )
    page = Page(report_html(view.updated(credits=credits)))
    assert "What each automation bought" not in html
    assert "clearly bought something: structure." in page.text
    assert "+1.00 (+0.40 to +1.60)" in page.text
    assert "<averaging>" in page.text
    assert "Not used by the study: selection." in page.text
    none = Page(report_html(view.updated(credits=credits.updated(contributions=()))))
    assert "clearly bought something: none." in none.text


def test_heads_gears_and_the_learning_curve_are_shown_where_there_are_some(view: StudyView, html: str) -> None:
    curve = fit_curve([(20, 0.5), (20, 0.52), (40, 0.42), (80, 0.35), (160, 0.3)])
    fitted = [
        Fitted(
            key="k",
            state_sha256="s",
            side=side,
            penalty=0.1,
            loss=0.9,
            error=error,
            asked=160,
            steer_error=error,
            images=160,
            features=1280,
            feature_seconds=4.0,
            head_seconds=2.0,
        )
        for side, error in ((96, 0.3), (128, 0.31))
    ]
    heads = Heads(fitted=tuple(fitted), side=96, folds=4, curve=curve)
    gears = Gears(
        folds=4,
        asked=120,
        tried=(
            TriedRate(gear="upper", learning_rate=0.001),
            TriedRate(gear="upper", learning_rate=0.0003, loss=0.85, error=0.28, asked=60, chosen=True),
        ),
    )
    shown = view.updated(heads=heads, gears=gears)
    page = Page(report_html(shown))
    assert "From pretrained weights" not in html
    assert "4-fold cross-validation; images of 96 pixels were chosen" in page.text
    assert "30.00\N{NO-BREAK SPACE}% ± 7.10\N{NO-BREAK SPACE}%" in page.text
    assert "compared on 120 training images" in page.text
    assert "failed" in page.text
    assert curve.sentence[1:] in page.text
    assert "training images" in draw_figures(shown)["learning_curve"]
    on_steer = Page(report_html(view.updated(heads=heads.updated(folds=0, curve=None))))
    assert "judged on steer" in on_steer.text
    assert "Learning curve of heads" not in on_steer.text
