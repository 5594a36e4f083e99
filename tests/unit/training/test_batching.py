"""Every way for a batch to grow against sequences worked out by hand."""

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.parts import allowed_targets, resolve
from modules.training.batching.fixed import Fixed
from modules.training.batching.milestones import Milestones
from modules.training.batching.noise_scale import NoiseScale
from modules.training.batching.plateau import Plateau
from modules.training.progress import BEGINNING, Progress

BATCHINGS = sorted(name for name in allowed_targets() if name.startswith("modules.training.batching."))


def at(*losses: float) -> Progress:
    return Progress(1, 2, 1, steer_losses=losses)


def measured(*noise_scales: float | None) -> Progress:
    return Progress(1, 2, 1, noise_scales=noise_scales)


@pytest.mark.parametrize("samples", [0, 50, 100])
def test_a_fixed_batch_stays(samples):
    assert Fixed().batch_size(48, Progress(samples, 100, samples, 10, (1.0,) * 50, (1e6,) * 50)) == 48


@pytest.mark.parametrize(
    ("batching", "expected"),
    [
        (Milestones([0.5, 0.75]), [64, 64, 64, 64, 64, 128, 128, 128, 256, 256]),
        (Milestones([0.3, 0.6], factor=4.0, max_batch_size=500), [64, 64, 64, 256, 256, 256, 500, 500, 500, 500]),
        (Milestones([0.2, 0.2]), [64, 64, 256, 256, 256, 256, 256, 256, 256, 256]),
        (Milestones([0.5, 0.75], max_batch_size=10), [64] * 10),
        (Milestones([0.1, 0.2], factor=1.5), [64, 96, 144, 144, 144, 144, 144, 144, 144, 144]),
        (Milestones([1.0, 0.9]), [64] * 9 + [128]),
    ],
)
def test_milestones_by_hand(batching, expected):
    assert [batching.batch_size(64, Progress(10 * done, 100, done)) for done in range(10)] == expected


def test_plateaus_by_hand():
    losses = [1.0, 0.9, 0.9, 0.9, 0.5, 0.6, 0.5, 0.5, 0.5, 0.4]
    batching = Plateau(patience=1, threshold=0.0)
    found = [batching.batch_size(10, at(*losses[:looks])) for looks in range(1, 11)]
    assert found == [10, 10, 10, 20, 20, 20, 40, 40, 80, 80]
    capped = Plateau(factor=3.0, patience=1, threshold=0.0, cooldown=1, max_batch_size=50)
    assert [capped.batch_size(10, at(*losses[:looks])) for looks in range(1, 11)] == [10, 10, 10, *[30] * 3, *[50] * 4]


@given(st.lists(st.sampled_from([0.5, 0.6, 0.7, 1.0]), max_size=30), st.integers(0, 3), st.integers(0, 3))
def test_the_batch_doubles_where_torch_would_halve_the_rate(losses, patience, cooldown):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=1e-3, cooldown=cooldown, eps=0.0
    )
    for loss in losses:
        scheduler.step(loss)
    batching = Plateau(patience=patience, cooldown=cooldown, max_batch_size=2**40)
    assert batching.batch_size(8, at(*losses)) == 8 / optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("noise_scales", "expected"),
    [
        ((), 64),
        ((None, None), 64),
        ((3.0,), 64),
        ((64.0,), 64),
        ((64.1,), 128),
        ((None, 300.0, None), 512),
        ((100.0, 300.0), 256),  # the median of two is their mean: 200
        ((100.0, 1500.0, 110.0), 1024),  # after two looks it was 800, and the batch does not shrink
        ((90.0, 110.0, 5000.0), 128),  # one high measurement is not believed
        ((90.0, 110.0, 5000.0, 1e30), 1500),  # two are; 1500 is the most
        ((90.0, None, 110.0, None, 5000.0), 128),
    ],
)
def test_the_noise_scale_by_hand(noise_scales, expected):
    assert NoiseScale(max_batch_size=1500).batch_size(64, measured(*noise_scales)) == expected


def test_the_ratio_is_of_the_noise_scale():
    assert NoiseScale(ratio=0.1).batch_size(64, measured(6400.0)) == 1024  # 640: 64 2^4
    assert NoiseScale(ratio=2.0).batch_size(10, measured(20.0)) == 40


scales = st.lists(st.one_of(st.none(), st.floats(0.0, 1e9)), max_size=12)


@given(st.integers(1, 300), scales, st.integers(1, 5000), st.floats(0.01, 10.0))
def test_the_noise_scale_is_the_slow_version(first, noise_scales, cap, ratio):
    size, known = first, []
    for scale in noise_scales:
        known += [] if scale is None else [scale]
        while known and size < ratio * statistics.median(known[-3:]) and size < cap:
            size *= 2
    expected = max(first, min(size, cap))
    batching = NoiseScale(ratio, cap)
    assert batching.batch_size(first, measured(*noise_scales)) == expected
    sizes = [batching.batch_size(first, measured(*noise_scales[:looks])) for looks in range(len(noise_scales) + 1)]
    assert sizes == sorted(sizes)
    multiple = math.log2(sizes[-1] / first)
    assert multiple == int(multiple) or sizes[-1] == cap


@pytest.mark.parametrize("name", BATCHINGS)
@given(
    st.integers(1, 4096), st.integers(0, 1000), st.lists(st.floats(0, 10), max_size=60), scales, st.integers(1, 4096)
)  # fmt: skip
def test_no_batch_is_smaller_than_the_first_or_larger_than_allowed(name, first, samples, losses, noise_scales, cap):
    arguments = {} if name.endswith("Fixed") else {"max_batch_size": cap}
    arguments |= {"fractions": [0.5, 0.75]} if name.endswith("Milestones") else {}
    progress = Progress(samples, 1000, samples, 10, tuple(losses), tuple(noise_scales))
    size = resolve(name)(**arguments).batch_size(first, progress)
    assert isinstance(size, int)
    assert first <= size <= max(first, cap)


def test_milestones_that_were_passed_stay_passed():
    """A first training of 100 samples, a slice of 20 and a longer one, after which 0.75 of all samples is at 240."""
    batching = Milestones([0.5, 0.75])
    before, found = BEGINNING, []
    for total in (100, 20, 200):
        moments = [Progress(done, total, done).following(before) for done in range(0, total + 1, 20)]
        found.append([batching.batch_size(64, progress) for progress in moments])
        before = moments[-1]
    assert found == [[64, 64, 64, 128, 256, 256], [256, 256], [256] * 11]
    assert (before.samples, before.total_samples, before.updates) == (320, 320, 320)


def test_milestones_of_a_training_that_ended_early_are_of_all_samples():
    stopped = Progress(60, 100, 60).following(BEGINNING)  # the first of two was passed
    moments = [Progress(done, 140, done).following(stopped) for done in range(0, 141, 30)]
    assert [Milestones([0.5, 0.75]).batch_size(64, moment) for moment in moments] == [128, 128, 128, 256, 256]


def test_a_plateau_goes_on_over_a_break_by_hand():
    """With patience for one look: the third look, and the fifth, whose first half is before the break."""
    batching = Plateau(patience=1, threshold=0.0)
    before = at(0.5, 0.6, 0.6, 0.7)
    after = [at(*[0.6] * looks).following(before) for looks in range(4)]
    assert batching.batch_size(8, before) == 16
    assert [batching.batch_size(8, progress) for progress in after] == [16, 32, 32, 64]
    assert batching.batch_size(24, after[1]) == 96  # where an edit has changed the first size


def test_the_noise_scale_goes_on_over_a_break_by_hand():
    """Medians of three: one high measurement on each side of the break is believed, one alone is not."""
    before = measured(90.0, 110.0, 5000.0)
    after = [measured(*scales).following(before) for scales in ((), (None,), (5000.0,), (10.0, 10.0, 10.0))]
    assert [NoiseScale().batch_size(64, progress) for progress in after] == [128, 128, 2048, 128]


looks = st.lists(
    st.tuples(st.sampled_from([0.5, 0.6, 0.7, 1.0]), st.one_of(st.none(), st.floats(0.0, 1e4))), max_size=20
)


@given(looks, looks, st.integers(0, 2), st.integers(0, 2))
def test_a_break_makes_no_difference_to_what_goes_by_looks(first, second, patience, cooldown):
    def seen(*looks):
        losses, scales = tuple(loss for loss, _ in looks), tuple(scale for _, scale in looks)
        return Progress(len(looks), 40, len(looks), 10, losses, scales)

    for batching in (Plateau(patience=patience, cooldown=cooldown), NoiseScale()):
        broken = seen(*second).following(seen(*first))
        assert batching.batch_size(8, broken) == batching.batch_size(8, seen(*first, *second))


def test_only_the_fixed_one_does_not_grow():
    assert [name for name in BATCHINGS if not resolve(name).grows] == ["modules.training.batching.fixed.Fixed"]


def test_only_one_asks_for_the_noise_scale():
    assert [name for name in BATCHINGS if resolve(name).needs_noise_scale] == [
        "modules.training.batching.noise_scale.NoiseScale"
    ]
    assert len(BATCHINGS) == 4


def test_a_thousand_plateaus_are_not_too_many():
    assert Plateau(factor=1024.0, patience=0).batch_size(7, at(*[1.0] * 1000)) == 2048
