"""Every schedule against a sequence worked out by hand, and against torch's own where it has one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.parts import allowed_targets, resolve
from modules.training.progress import Progress
from modules.training.schedules.constant import Constant
from modules.training.schedules.cosine import Cosine
from modules.training.schedules.linear import Linear
from modules.training.schedules.one_cycle import OneCycle
from modules.training.schedules.time_based import TimeBased

SCHEDULES = sorted(name for name in allowed_targets() if name.startswith("modules.training.schedules."))


def factors(schedule, updates: int = 10) -> list[float]:
    """The factor of each of `updates` updates of 4 samples."""
    return [schedule.factor(Progress(4 * done, 4 * updates, done)) for done in range(updates)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [1.0] * 10),
        (Constant(warmup_fraction=0.4), [0.001, 0.25, 0.5, 0.75, *[1.0] * 6]),
        (Linear(), [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        (Linear(final_factor=0.5), [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55]),
        (OneCycle(), [0.1, 0.55, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        (OneCycle(0.5, 0.0, 0.5), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 0.9, 0.8, 0.7, 0.6]),
        (OneCycle(warmup_fraction=0.0), [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        (TimeBased(decay=1.0), [1 / (1 + done) for done in range(10)]),
        (TimeBased(), [1 / (1 + 1e-6 * done) for done in range(10)]),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, list) else "",
)
def test_a_sequence_worked_out_by_hand(schedule, expected):
    assert factors(schedule) == pytest.approx(expected, rel=1e-12)


def test_cosine_by_hand():
    root = math.sqrt(0.5)
    assert factors(Cosine(), 4) == pytest.approx([1.0, (1 + root) / 2, 0.5, (1 - root) / 2], rel=1e-12)
    assert factors(Cosine(0.2), 2) == pytest.approx([1.0, 0.6], rel=1e-12)


def torchs(make, updates: int = 10) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(updates):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("final", [0.0, 0.3])
def test_linear_is_torchs(final):
    def make(optimizer):
        return torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=final, total_iters=10)

    assert factors(Linear(final)) == pytest.approx(torchs(make), rel=1e-9)


@pytest.mark.parametrize("final", [0.0, 0.3])
def test_cosine_is_torchs(final):
    def make(optimizer):
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=final)

    assert factors(Cosine(final)) == pytest.approx(torchs(make), rel=1e-9)


def test_one_cycle_is_torchs():
    # torch's last update has the final rate; ours would have it one update later
    def make(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1.0, total_steps=11, pct_start=3 / 11, anneal_strategy="linear", div_factor=10,
            final_div_factor=1e9, cycle_momentum=False,
        )  # fmt: skip

    assert factors(OneCycle(warmup_fraction=0.2)) == pytest.approx(torchs(make), rel=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
@given(st.integers(1, 500), st.integers(1, 64), st.data())
def test_every_schedule_is_finite_and_never_above_the_rate(name, total_updates, batch, data):
    total = data.draw(st.integers(max(1, (total_updates - 1) * batch), total_updates * batch))
    done = data.draw(st.integers(0, total_updates))
    factor = resolve(name)().factor(Progress(done * batch, total, done))
    assert 0.0 <= factor <= 1.0 + 1e-12


@given(st.floats(0, 0.95), st.floats(0, 1), st.floats(0, 1))
def test_one_cycle_never_leaves_its_bounds(warmup, initial, final):
    found = factors(OneCycle(warmup, initial, final), 50)
    assert all(min(initial, final) - 1e-12 <= factor <= 1 + 1e-12 for factor in found)


def test_a_slice_that_ends_in_the_middle_of_a_batch_does_not_overshoot():
    assert Progress(12, 10, 3).fraction == 1.0
    assert Linear().factor(Progress(12, 10, 3)) == 0.0
