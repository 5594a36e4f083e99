import numpy as np
import pytest

from modules.edits.changes import (
    SQUARES,
    Assign,
    Copy,
    Create,
    Crop,
    Divide,
    Drop,
    Factorise,
    Pad,
    Rename,
    Scale,
    Select,
    Shift,
    SumBlocks,
    apply_changes,
    apply_changes_to_moments,
)

WEIGHT = np.arange(24, dtype=np.float32).reshape(2, 12)
WEIGHTS = {"a.weight": WEIGHT, "a.bias": np.ones(2, np.float32)}


def after(*changes, weights=WEIGHTS, **arguments):
    before = {name: values.copy() for name, values in weights.items()}
    result = apply_changes(changes, weights, 5, **arguments)
    for name, values in before.items():
        np.testing.assert_array_equal(weights[name], values)  # what came in is left alone
    return result


def test_select():
    kept = after(Select(tensor="a.weight", dim=1, indices=(0, 5)))["a.weight"]
    np.testing.assert_array_equal(kept, WEIGHT[:, [0, 5]])


def test_neutral_entries_depend_on_what_they_are_of():
    for name, value in (("norm1.weight", 1), ("norm1.bias", 0), ("norm1.running_mean", 0), ("norm1.running_var", 1)):
        assert (after(Create(tensor=name, shape=(3,), fill="neutral"))[name] == value).all()


def test_random_entries_have_their_spread_and_never_come_twice():
    created = after(
        *(Create(tensor=name, shape=(200, 12), fill="normal", std=0.3) for name in ("b.weight", "c.weight"))
    )
    values = np.concatenate([created["b.weight"], created["c.weight"]])
    assert values.std() == pytest.approx(0.3, rel=0.05)
    assert len(np.unique(values, axis=0)) == len(values)


def test_drop_rename_assign_shift():
    result = after(
        Drop(tensor="a.weight"),
        Rename(tensor="a.bias", to="b.bias"),
        Assign(tensor="b.bias", start=1, values=(7.0,)),
        Shift(tensor="b.bias", values=(0.5, 1.5)),
    )
    assert set(result) == {"b.bias"}
    np.testing.assert_array_equal(result["b.bias"], [1.5, 8.5])


def test_sums_of_blocks():
    summed = after(SumBlocks(tensor="a.weight", dim=1, block=4))["a.weight"]
    np.testing.assert_array_equal(summed, WEIGHT.reshape(2, 3, 4).sum(2))


def test_window_means():
    created = after(Create(tensor="c.weight", shape=(3, 3, 2, 2), fill="window_mean"))["c.weight"]
    np.testing.assert_array_equal(created.sum((2, 3)), np.eye(3))
    assert set(np.unique(created)) == {0, 0.25}


def test_factors_are_the_nearest_and_those_of_the_judged_weights():
    generator = np.random.default_rng(0)
    depthwise, pointwise = generator.normal(size=(4, 1, 3, 3)), generator.normal(size=(5, 4, 1, 1))
    exact = (pointwise * depthwise.swapaxes(0, 1)).astype(np.float32)
    change = Factorise(tensor="c.weight", depthwise="d.weight", pointwise="p.weight")
    result = after(change, weights={"c.weight": exact + 1}, judged={"c.weight": exact})
    assert {name: values.shape for name, values in result.items()} == {
        "d.weight": (4, 1, 3, 3),
        "p.weight": (5, 4, 1, 1),
    }
    np.testing.assert_allclose(result["p.weight"] * result["d.weight"].swapaxes(0, 1), exact, atol=1e-5)


def test_borders_and_factors():
    window = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    padded = after(Pad(tensor="c.weight", width=1), weights={"c.weight": window})["c.weight"]
    assert padded.shape == (1, 1, 5, 5)
    assert padded.sum() == 36
    cropped = after(Crop(tensor="c.weight", width=1), weights={"c.weight": padded})["c.weight"]
    np.testing.assert_array_equal(cropped, window)
    np.testing.assert_array_equal(after(Scale(tensor="a.bias", values=(2.0, 3.0)))["a.bias"], [2, 3])


@pytest.mark.parametrize(("shape", "centre"), [((3, 3), ()), ((3, 3, 1, 1), (0, 0)), ((3, 3, 5, 5), (2, 2))])
def test_an_identity_is_one_at_the_centre(shape, centre):
    created = after(Create(tensor="c.weight", shape=shape, fill="identity"))["c.weight"]
    np.testing.assert_array_equal(created[(..., *centre)], np.eye(3))
    assert created.sum() == 3
    assert created.dtype == np.float32


def test_moments_of_what_is_new_or_rewritten_are_none_or_zero():
    moments = {"a.weight": WEIGHT, "a.bias": np.ones(2, np.float32)}
    changes = (
        Create(tensor="b.weight", shape=(2, 2), fill="zero"),
        SumBlocks(tensor="a.weight", dim=1, block=4),
        Rename(tensor="a.bias", to="b.bias"),
        Assign(tensor="b.bias", start=0, values=(3.0, 3.0, 3.0)),
        Pad(tensor="elsewhere.weight", width=1),
    )
    result = apply_changes_to_moments(changes, moments, "exp_avg", 5)
    assert set(result) == {"b.bias"}
    np.testing.assert_array_equal(result["b.bias"], [1, 1])


def test_counts_of_steps_are_left_alone():
    steps = {"a.weight": np.asarray(7, np.float32)}
    changes = (
        Copy(tensor="a.weight", dim=1, indices=(0,)),
        Select(tensor="a.weight", dim=0, indices=(0,)),
    )
    assert apply_changes_to_moments(changes, steps, "step", 5)["a.weight"] == 7


@pytest.mark.parametrize("slot", sorted(SQUARES))
def test_new_entries_start_with_the_mean_of_squared_gradients(slot):
    squares = {
        "a.weight": np.asarray([1.0, 3.0], np.float32).reshape(1, 2, 1, 1),
        "b.weight": np.full((1, 1, 1, 1), 2.0, np.float32),
    }
    changes = (
        Pad(tensor="a.weight", width=1),
        Pad(tensor="b.weight", width=1),
    )
    result = apply_changes_to_moments(changes, squares, slot, 5)
    centre = result["a.weight"][0, :, 1, 1]
    np.testing.assert_array_equal(centre, [1, 3])
    assert result["a.weight"].sum() == 1 + 3 + 16 * 2
    np.testing.assert_array_equal(result["b.weight"], np.full((1, 1, 3, 3), 2.0))


def test_copies_and_divided_weights():
    copied = after(Copy(tensor="a.weight", dim=0, indices=(1, 1)))["a.weight"]
    np.testing.assert_array_equal(copied, WEIGHT[[0, 1, 1, 1]])
    weights = {"a.weight": np.arange(1, 301, dtype=np.float32).reshape(100, 3)}
    divided = after(Divide(tensor="a.weight", dim=1, indices=(2, 0, 2)), weights=weights)["a.weight"]
    before = weights["a.weight"]
    np.testing.assert_array_equal(divided[:, 1], before[:, 1])
    np.testing.assert_array_equal(divided[:, [2, 3, 5]].sum(axis=1), before[:, 2])
    np.testing.assert_array_equal(divided[:, [0, 4]].sum(axis=1), before[:, 0])
    assert ((divided[:, [2, 3, 5]] != 0).sum(axis=1) == 1).all()
    shares = (divided[:, [2, 3, 5]] != 0).mean(axis=0)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.15)


def test_copies_take_their_moments_along():
    moments = {"a.weight": WEIGHT}
    result = apply_changes_to_moments([Divide(tensor="a.weight", dim=1, indices=(3,))], moments, "exp_avg", 5)
    np.testing.assert_array_equal(result["a.weight"], np.concatenate([WEIGHT, WEIGHT[:, 3:4]], axis=1))
