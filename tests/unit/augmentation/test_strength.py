import pytest

from modules.augmentation.strength import strength_between, strengthened
from modules.records import Part


def shift(max_pixels, **arguments):
    return Part(target="modules.augmentation.shift.Shift", arguments={"max_pixels": max_pixels, **arguments})


@pytest.mark.parametrize(
    ("max_pixels", "factor", "expected"), [(1.0, 1.5, 2.0), (1.0, 1 / 1.5, 1.0), (2.0, 1.5, 3.0), (2.0, 0.2, 0.0)]
)
def test_whole_pixels_stay_whole_ones(max_pixels, factor, expected):
    """Or an edit would say that it changed what stays the same."""
    for arguments in ({}, {"subpixel": False}):
        assert strengthened([shift(max_pixels, **arguments)], factor) == (shift(expected, **arguments),)


def test_fractions_of_pixels_may_be_any():
    assert strengthened([shift(1.0, subpixel=True)], 1.5) == (shift(1.5, subpixel=True),)


def test_without_strength_there_is_nothing():
    flip = Part(target="modules.augmentation.flip.Flip")
    assert strengthened([flip, shift(2.0)], 0.0) == ()
    assert strengthened([flip], 0.5) == (flip,)


def test_the_strength_between_is_that_which_leads_from_one_to_the_other():
    shift = Part(target="modules.augmentation.shift.Shift", arguments={"max_pixels": 1, "subpixel": False})
    rotate = Part(target="modules.augmentation.rotate.Rotate", arguments={"max_degrees": 10.0})
    first = (shift, rotate)
    for factor in (0.0, 1.0, 1.5, 0.1373, 2.06):
        assert strength_between(first, strengthened(first, factor)) == factor
    assert strength_between(first, (shift,)) is None
    assert strength_between(first, (shift, rotate.updated(arguments={"max_degrees": 0.0}))) is None
    assert strength_between((), ()) == 1.0
