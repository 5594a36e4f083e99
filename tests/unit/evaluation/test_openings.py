from modules.evaluation.openings import opening
from tests.unit.report.made_up_study import made_up_view

DATA = made_up_view(1).data


def test_the_test_part_is_known_by_its_own_digest_and_others_by_that_of_the_data():
    grown = DATA.updated(digest="f" * 32)
    assert opening("w", DATA, "test") == opening("w", grown, "test")
    assert opening("w", DATA, "confirm") != opening("w", grown, "confirm")
    assert opening("w", DATA, "test")[0] == "test_openings"


def test_each_weights_and_part_is_an_entry_of_its_own():
    keys = {opening(weights, DATA, part) for weights in "vw" for part in ("steer", "confirm", "test")}
    assert len(keys) == 6
