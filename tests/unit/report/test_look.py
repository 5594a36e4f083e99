import csv
import json

from modules.report.look import look_lines, look_table, write_look
from modules.report.report import report_html
from tests.unit.report.made_up_study import made_up_view


def test_the_page_shows_all_and_takes_nothing_for_markup(look, home, tmp_path):
    write_look(tmp_path / "look", look, home)
    page = (tmp_path / "look" / "index.html").read_text()
    assert "<b>bold" not in page
    assert page.count("data:image/png;base64,") == 3
    for said in ("größe 猫", "Something to know.", "8 × 8, grey", "100 × 20", "1 images are equal", "left_out.csv"):
        assert said in page
    rows = list(csv.reader((tmp_path / "look" / "left_out.csv").read_text().splitlines()))
    assert rows[0] == ["name", "reason"]
    assert len(rows) == 71
    figures = json.loads((tmp_path / "look" / "look.json").read_text())
    assert figures["num_left_out"] == 70
    assert sum(sum(one["counts"]) for one in figures["classes"]) == 90


def test_the_console_says_the_same(look):
    assert look_table(look).row_count == 4
    lines = look_lines(look)
    assert "left out: 70" in lines
    assert "equal to another image: 1; much like another one: 0" in lines


def test_a_report_has_the_look_in_it(look):
    study = made_up_view()
    assert "A look at the images" not in report_html(study)
    page = report_html(study.updated(look=look))
    assert "A look at the images" in page
    assert page.count("data:image/png;base64,") == 3
