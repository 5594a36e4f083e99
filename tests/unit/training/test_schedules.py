"""Every schedule against a sequence worked out by hand, and against torch's own where it has one."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules import config
from modules.errors import ConfigError
from modules.parts import CONF, allowed_targets, resolve
from modules.training.progress import Progress
from modules.training.schedules.constant import Constant
from modules.training.schedules.cosine import Cosine
from modules.training.schedules.exponential import Exponential
from modules.training.schedules.linear import Linear
from modules.training.schedules.one_cycle import OneCycle
from modules.training.schedules.plateau import Plateau
from modules.training.schedules.step import Step
from modules.training.schedules.time_based import TimeBased, log_rising_product
from modules.training.warmup import WarmedUp

SCHEDULES = sorted(name for name in allowed_targets() if name.startswith("modules.training.schedules."))


def factors(schedule, updates: int = 10) -> list[float]:
    """The factor of each of `updates` updates of 4 samples, two of which are an epoch."""
    return [schedule.factor(Progress(4 * done, 4 * updates, done, epoch_samples=8)) for done in range(updates)]


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
        (TimeBased(decay=0.0), [1.0] * 10),
        (TimeBased(0.0, "compounding"), [1.0] * 10),
        # 1, 1/2, 1/(2 3), 1/(2 3 4), …
        (
            TimeBased(1.0, "compounding"),
            [1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, *[1 / math.factorial(n) for n in range(6, 11)]],
        ),
        # 10/11, 10/11 10/12, 10/11 10/12 10/13, …
        (TimeBased(0.1, "compounding"), [10**n * math.factorial(10) / math.factorial(10 + n) for n in range(10)]),
        # the updates of the warm-up count
        (TimeBased(0.5, warmup_fraction=0.2), [0.001, 0.5, 1 / 2, 2 / 5, 1 / 3, 2 / 7, 1 / 4, 2 / 9, 1 / 5, 2 / 11]),
        (Linear(warmup_fraction=0.2), [0.001, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        (Linear(0.5, 0.5), [0.001, 0.2, 0.4, 0.6, 0.8, 1.0, 0.9, 0.8, 0.7, 0.6]),
        (
            Cosine(warmup_fraction=0.6),
            [0.001, *[n / 6 for n in range(1, 6)], 1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4],
        ),
        (Exponential(0.25), [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256, 1 / 512]),
        (Exponential(0.25, 0.2), [0.001, 0.5, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128]),
        (Step(0.1, every_epochs=2), [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        (Step(0.5, every_epochs=1, warmup_fraction=0.3), [0.001, 1 / 3, 2 / 3, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
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


@pytest.mark.parametrize("gamma", [1.0, 0.9, 0.1])
def test_exponential_is_torchs_at_the_end_of_every_epoch(gamma):
    ours = [Exponential(gamma).factor(Progress(5 * epoch, 50, epoch, epoch_samples=5)) for epoch in range(10)]
    expected = torchs(lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma))
    assert ours == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("every", [1, 3, 20])
def test_steps_are_torchs(every):
    ours = [Step(0.3, every).factor(Progress(5 * epoch, 50, epoch, epoch_samples=5)) for epoch in range(10)]
    expected = torchs(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, every, 0.3))
    assert ours == pytest.approx(expected, rel=1e-12)


def test_a_warm_up_then_a_decay_is_torchs_sequence():
    def make(optimizer):
        parts = torch.optim.lr_scheduler
        rise = parts.LinearLR(optimizer, start_factor=1e-3, total_iters=4)
        return parts.SequentialLR(optimizer, [rise, parts.CosineAnnealingLR(optimizer, T_max=16)], milestones=[4])

    ours, expected = factors(Cosine(warmup_fraction=0.2), 20), torchs(make, 20)
    assert ours == pytest.approx(expected, abs=1e-3)  # torch's warm-up begins at its first factor, ours jumps to it
    assert ours[4:] == pytest.approx(expected[4:], rel=1e-9)


@pytest.mark.parametrize(
    ("decay", "updates"),
    [
        *[(1e-6, 1_000_000), (1e-6, 1), (1e-6, 1000), (1e-12, 1_000_000), (1e-300, 10), (5e-324, 10), (1e-3, 10_000)],
        *[(0.0099, 300), (0.01, 300), (0.0101, 300), (0.3, 100), (1.0, 100), (1.0, 1)],
    ],
)
def test_compounding_is_the_product_of_its_divisors(decay, updates):
    slow = math.fsum(np.log1p(decay * np.arange(1, updates + 1)))
    schedule = TimeBased(decay, "compounding")
    assert schedule.factor(Progress(0, 1, updates)) == pytest.approx(math.exp(-slow), rel=1e-9, abs=0.0)
    assert log_rising_product(decay, updates) == pytest.approx(slow, rel=1e-9, abs=1e-12)


def test_compounding_by_hand_is_what_keras_once_did():
    """Rate 0.1, decay 0.01: 0.1, 0.0990099, 0.0970685, 0.0942413, 0.0906166."""
    rates = [0.1 * TimeBased(0.01, "compounding").factor(Progress(0, 1, n)) for n in range(5)]
    assert rates == pytest.approx([0.1, 0.0990099, 0.0970685, 0.0942413, 0.0906166], abs=5e-8)


def at_looks(schedule, losses) -> list[float]:
    """The factor after each look."""
    total = len(losses)
    return [schedule.factor(Progress(n, total, n, steer_losses=tuple(losses[:n]))) for n in range(1, total + 1)]


def test_a_plateau_by_hand():
    losses = [1.0, 0.9, 0.9, 0.9, 0.5, 0.6, 0.5, 0.5, 0.5, 0.4]
    #         best best    1    2  best    1    2    1    2 best: more than one look in vain is a plateau
    assert at_looks(Plateau(0.1, patience=1, threshold=0.0, min_factor=0.0), losses) == pytest.approx(
        [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
    # the look after a fall is not counted
    assert at_looks(Plateau(0.1, 1, 0.0, cooldown=1, min_factor=0.0), losses) == pytest.approx(
        [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]
    )
    # 0.9 is not lower than 1.0 by a fifth; 0.4 is lower than 0.5 by a fifth, but not by more
    assert at_looks(Plateau(0.1, 1, 0.2, min_factor=0.005), losses) == pytest.approx(
        [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005]
    )


LOSSES = st.lists(
    st.one_of(st.sampled_from([0.5, 0.6, 0.7, 1.0]), st.floats(0.0, 10.0), st.sampled_from([math.nan, math.inf])),
    min_size=1, max_size=40,
)  # fmt: skip


@given(
    LOSSES, st.floats(0.05, 0.95), st.integers(0, 4), st.sampled_from([0.0, 1e-3, 0.2, 1.0]), st.integers(0, 4),
    st.sampled_from([0.0, 1e-3, 0.3]),
)  # fmt: skip
def test_plateaus_are_torchs_step_for_step(losses, factor, patience, threshold, cooldown, least):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "min", factor, patience, threshold, "rel", cooldown, min_lr=least, eps=0.0
    )
    rates = []
    for loss in losses:
        theirs.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert at_looks(Plateau(factor, patience, threshold, cooldown, least), losses) == pytest.approx(rates, rel=1e-12)


WARMED_UP = [name for name in SCHEDULES if issubclass(resolve(name), WarmedUp)]
moments = st.builds(
    Progress,
    samples=st.integers(0, 10**7),
    total_samples=st.integers(1, 10**7),
    updates=st.integers(0, 10**7),
    epoch_samples=st.integers(1, 10**6),
    steer_losses=st.lists(st.floats(0, 10), max_size=5).map(tuple),
    fraction_before=st.floats(0.0, 1.0),
)


def test_every_schedule_has_a_yaml_and_every_yaml_a_warm_up():
    assert len(SCHEDULES) == len(list((CONF / "schedule").glob("*.yaml"))) == 8
    assert all("warmup_fraction" in inspect.signature(resolve(name)).parameters for name in SCHEDULES)
    assert [name for name in SCHEDULES if name not in WARMED_UP] == ["modules.training.schedules.one_cycle.OneCycle"]


@pytest.mark.parametrize("name", SCHEDULES)
@given(moments, st.floats(0.0, 0.95))
def test_every_factor_is_finite_and_from_0_to_1(name, progress, warmup):
    assert 0.0 <= resolve(name)(warmup_fraction=warmup).factor(progress) <= 1.0 + 1e-12


@pytest.mark.parametrize("name", SCHEDULES)
@given(st.integers(2, 400), st.sampled_from([0.0, 0.1, 0.5]))
def test_every_factor_is_positive_as_long_as_there_are_updates_to_come(name, updates, warmup):
    schedule = resolve(name)(warmup_fraction=warmup)
    moments = [Progress(20 * done, 20 * updates, done, epoch_samples=20) for done in range(updates)]
    assert all(schedule.factor(progress) > 0.0 for progress in moments)


@pytest.mark.parametrize("name", WARMED_UP)
@given(st.integers(1, 10**4), st.integers(1, 95), st.data())
def test_a_warm_up_rises_in_a_straight_line_to_1(name, scale, percent, data):
    schedule = resolve(name)(warmup_fraction=percent / 100)
    total, end = 100 * scale, percent * scale
    samples = data.draw(st.integers(0, end - 1))
    assert schedule.factor(Progress(samples, total, 0)) == pytest.approx(max(samples / end, 1e-3), rel=1e-9)
    assert schedule.factor(Progress(end, total, 0)) == 1.0


def test_what_comes_after_a_warm_up_begins_at_the_very_sample():
    for percent in range(100):
        assert Progress(percent, 100, 7).after(percent / 100) == Progress(0, 100 - percent, 7)


@pytest.mark.parametrize(
    ("schedule", "argument"),
    [
        *[("exponential", "gamma"), ("step", "gamma"), ("step", "every_epochs"), ("time_based", "decay")],
        *[("plateau", "factor"), ("plateau", "patience"), ("cosine", "warmup_fraction"), ("time_based", "reading")],
    ],
)
def test_a_schedule_without_its_parameter_is_refused_in_one_sentence(schedule, argument):
    with pytest.raises(ConfigError) as raised:
        config.resolve([f"schedule={schedule}", f"schedule.{argument}=null"])
    said = str(raised.value)
    assert said.startswith(f"schedule.{argument} must be ")
    assert said.endswith("; got null")
    assert "\n" not in said


def test_a_parameter_of_another_schedule_is_refused():
    with pytest.raises(ConfigError, match=r"unknown key schedule\.gamma.*schedule\.final_factor"):
        config.resolve(["schedule=cosine", "schedule.gamma=0.5"])


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
