import numpy as np
import pytest

from modules.explanation.focus import find_focus, shares

NAMES = tuple("0123456789")
ONE_CLASS = np.zeros(1, dtype=np.int64)


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
    (focus,) = find_focus("grad_cam", maps_at(rows, columns), ONE_CLASS.repeat(4), NAMES)
    assert (focus.place, focus.suspicious, focus.share) == (place, suspicious, pytest.approx(1.0))
    assert focus.rows[0] <= rows.start + 1
    assert focus.rows[1] >= rows.stop
    assert focus.area == 1 / 16


def test_maps_that_point_everywhere_are_not_suspicious():
    maps = np.random.default_rng(0).random((20, 16, 16))
    (focus,) = find_focus("occlusion", maps, np.arange(20) // 2, NAMES)
    assert focus.share < 0.1
    assert not focus.suspicious


def test_a_corner_is_asked_about_though_the_middle_holds_more():
    maps = np.zeros((10, 16, 16))
    maps[:7, 6:10, 6:10] = 1.0
    maps[7:, 12:, :4] = 1.0
    middle, corner = find_focus("occlusion", maps, ONE_CLASS.repeat(10), NAMES)
    assert (middle.place, middle.share, middle.suspicious) == ("its middle", pytest.approx(0.7), False)
    assert (corner.place, corner.share, corner.suspicious) == ("its bottom left corner", pytest.approx(0.3), True)


def test_a_mark_of_one_class_among_many_is_asked_about():
    predicted = np.repeat(np.arange(10), 3)
    maps = maps_at(slice(6, 10), slice(6, 10), count=30)
    maps[predicted == 7] = maps_at(slice(0, 3), slice(13, 16), count=3)
    _, corner = find_focus("occlusion", maps, predicted, NAMES)
    assert corner.suspicious
    assert corner.sentence.startswith(
        "occlusion: in most images taken for 7, 100% or more of what speaks for it lies in 6% of the image"
    )


@pytest.mark.parametrize("of_class", [[1, 0], [1], [1, 0, 0]])
def test_single_images_that_look_into_a_corner_are_no_mark(of_class):
    maps = maps_at(slice(6, 10), slice(6, 10), count=30)
    maps[: len(of_class)][np.array(of_class) == 1] = maps_at(slice(0, 3), slice(0, 3), count=1)
    predicted = np.where(np.arange(30) < len(of_class), 1, 0)
    (focus,) = find_focus("occlusion", maps, predicted, NAMES)
    assert not focus.suspicious


def test_windows_hold_what_adding_up_says():
    seen = shares(np.random.default_rng(0).normal(size=(3, 12, 20)))
    by_hand = np.lib.stride_tricks.sliding_window_view(seen, (3, 5), axis=(1, 2)).sum(axis=(3, 4))
    held = find_focus("occlusion", seen, np.array([0, 1, 2]), NAMES)[0]
    assert held.share == pytest.approx(by_hand.mean(axis=0).max())
