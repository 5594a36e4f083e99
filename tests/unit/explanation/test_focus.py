import numpy as np
import pytest

from modules.explanation.focus import compare_attention, find_focus, shares


def maps_at(rows: slice, columns: slice, count: int = 4, side: int = 16) -> np.ndarray:
    maps = np.full((count, side, side), -0.5)
    maps[:, rows, columns] = 2.0
    return maps


def test_shares_are_of_what_speaks_for_the_class():
    maps = np.array([[[3.0, 1.0], [-5.0, 0.0]], [[-1.0, -1.0], [0.0, 0.0]]])
    assert shares(maps).tolist() == [[[0.75, 0.25], [0, 0]], [[0, 0], [0, 0]]]


@pytest.mark.parametrize(
    ("rows", "columns", "place", "suspicious"),
    [
        (slice(0, 3), slice(0, 3), "its top left corner", True),
        (slice(13, 16), slice(13, 16), "its bottom right corner", True),
        (slice(0, 3), slice(7, 9), "its top edge", False),
        (slice(6, 10), slice(6, 10), "its middle", False),
    ],
)
def test_a_place_that_all_maps_share_is_found(rows, columns, place, suspicious):
    focus = find_focus("grad_cam", maps_at(rows, columns))
    assert (focus.place, focus.suspicious, focus.share) == (place, suspicious, pytest.approx(1.0))
    assert focus.rows[0] <= rows.start + 1
    assert focus.rows[1] >= rows.stop
    assert focus.area == 1 / 16


def test_maps_that_point_everywhere_are_not_suspicious():
    focus = find_focus("occlusion", np.random.default_rng(0).random((20, 16, 16)))
    assert focus.share < 0.1
    assert not focus.suspicious


def test_two_models_that_look_at_the_same_or_elsewhere():
    left, right = maps_at(slice(0, 8), slice(0, 8)), maps_at(slice(0, 8), slice(8, 16))
    assert compare_attention(left, 3 * left).mean == pytest.approx(0.0)
    mixed = left.copy()
    mixed[2] = right[2]
    difference = compare_attention(left, mixed)
    assert difference.distances == pytest.approx([0, 0, 1, 0])
    assert difference.furthest[0] == 2
    half = compare_attention(left, maps_at(slice(0, 8), slice(4, 12)))
    assert half.mean == pytest.approx(0.5)
