import pytest

from modules.data.image_file import Header, Size
from modules.data.size_rule import size_for


def headers(*sides, coloured=False):
    return [Header(height, width, coloured) for height, width in sides]


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(48, 64)] * 3, (48, 64)),
        ([(30, 30), (31, 40), (33, 33)], (28, 28)),
        ([(480, 640)] * 3, (128, 128)),
        ([(3, 900), (4, 4)], (8, 8)),
        ([(50, 70), (400, 90), (61, 61)], (56, 56)),
    ],
)
def test_alike_they_stay_and_else_the_median_short_side_decides(sides, expected):
    assert size_for(headers(*sides)) == Size(*expected, 1)


def test_what_is_asked_for_is_what_is_done():
    assert size_for(headers((28, 28)), side=40, channels=3) == Size(40, 40, 3)


def test_one_colour_image_makes_the_set_coloured():
    assert size_for([*headers((9, 9)), *headers((9, 9), coloured=True)]).channels == 3
