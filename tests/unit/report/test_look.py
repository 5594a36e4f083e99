import csv
import json

import numpy as np
import pytest

from modules.data import load as load_module
from modules.data.images import RawImages
from modules.data.load import load_data
from modules.data.look import look_at
from modules.records import Part
from modules.report.look import look_lines, look_table, write_look
from modules.report.report import report_html
from modules.store import Store
from tests.unit.report.made_up_study import made_up_view


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def look(home, monkeypatch):
    random = np.random.default_rng(0)
    raw = RawImages(
        random.integers(0, 256, (90, 8, 8, 1), dtype=np.uint8),
        np.arange(90) % 3,
        ("<b>bold</b>", "größe 猫", "c"),
        left_out=tuple((f"{number}.png", "it is empty") for number in range(70)),
        sizes=((8, 8), (100, 20), (4000, 3000)),
        notes=("Something to know.",),
    )
    raw.train_images[1] = raw.train_images[0]
    monkeypatch.setattr(load_module, "build", lambda part: raw)
    record = load_data(Part(target="made.up"), "small", (0.2, 0.2, None), 0, home, Store(home / "store"))
    return look_at(home, record)


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
