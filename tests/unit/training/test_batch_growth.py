"""A batch that grows over several slices: a slice goes on with what the one before ended with."""

import pytest
import torch
from tiny_study import tiny_recipe, tiny_spec

from modules.records import Part, TrialResult
from modules.store import Store
from modules.training.spec import Start
from modules.training.states import read_state
from modules.training.trial import run_trial


def batching(name: str, **arguments) -> Part:
    return Part(target=f"modules.training.batching.{name}", arguments={"max_batch_size": 32, **arguments})


# No look here is better than the one before by nine tenths of it, so that every second one is a plateau.
PLATEAU = batching("plateau.Plateau", patience=1, threshold=0.9)
NOISE_SCALE = batching("noise_scale.NoiseScale", ratio=100.0)
MILESTONES = batching("milestones.Milestones", fractions=[0.25, 0.5])


def spec_of(
    data, growth: Part | None, samples: int, parent: TrialResult | None = None, first_sample: int | None = None
):
    """A training in batches of 8 at first, with a look every 96 samples."""
    changes = {} if growth is None else {"batching": growth}
    spec = tiny_spec(data, samples, evaluate_every=96).updated(recipe=tiny_recipe(batch_size=8, **changes))
    if parent is None:
        return spec
    position = parent.samples if first_sample is None else first_sample
    start = Start(kind="trials", key=parent.key, state_sha256=parent.state_sha256)
    return spec.updated(slice=spec.slice.updated(first_sample=position), start=start)


def run(spec, home) -> TrialResult:
    return run_trial(spec, home, lambda progress: None)


def state_of(result, home):
    return read_state(Store(home / "store").folder("trials", result.key) / "state.safetensors")


def sizes(*results: TrialResult) -> list[int]:
    return [point.batch_size for result in results for point in result.curve]


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        (PLATEAU, [8, 8, 8, 16, 16, 32, 32, 32]),  # behind the third look and the fifth, for which the break is between
        (NOISE_SCALE, [8, 32, 32, 32, 32, 32, 32, 32]),
    ],
    ids=["plateau", "noise scale"],
)
def test_two_slices_are_one_twice_as_long(home, data, growth, expected):
    whole = run(spec_of(data, growth, 768), home)
    half = run(spec_of(data, growth, 384), home)
    rest = run(spec_of(data, growth, 384, half), home)
    assert sizes(whole) == sizes(half, rest) == expected
    assert whole.updates == half.updates + rest.updates
    assert [point.train_loss for point in whole.curve] == [
        *(point.train_loss for point in half.curve),
        *(point.train_loss for point in rest.curve),
    ]
    ended, ended_in_two = state_of(whole, home), state_of(rest, home)
    assert ended.keys() == ended_in_two.keys()
    # A slice that has ended has passed all milestones, which one twice as long has not at that moment.
    different = [name for name in ended if not torch.equal(ended[name], ended_in_two[name])]
    assert set(different) <= {"progress.fraction_before", "progress.noise_scales"}
    torch.testing.assert_close(
        ended["progress.noise_scales"], ended_in_two["progress.noise_scales"], rtol=0.0, atol=0.0, equal_nan=True
    )


def test_milestones_are_passed_once(home, data):
    """And a slice after them is as good as over: it has the batch that they led to."""
    first = run(spec_of(data, MILESTONES, 384), home)
    second = run(spec_of(data, MILESTONES, 192, first), home)
    third = run(spec_of(data, MILESTONES, 768, second), home)
    assert sizes(first) == [8, 16, 32, 32]
    assert sizes(second, third) == [32] * 10


def test_a_training_begins_anew_where_nothing_is_known_of_a_batch_that_grew(home, data):
    """As after a fixed batch: states of it, and those of earlier versions, do not speak of it."""
    fixed = run(spec_of(data, None, 384), home)
    assert not [name for name in state_of(fixed, home) if name.startswith("progress.")]
    assert sizes(run(spec_of(data, PLATEAU, 384, fixed), home)) == [8, 8, 8, 16]


def test_a_fixed_batch_after_one_that_grew_is_as_large_as_the_first(home, data):
    grown = run(spec_of(data, PLATEAU, 384), home)
    fixed = run(spec_of(data, None, 96, grown), home)
    assert sizes(fixed) == [8]
    assert not [name for name in state_of(fixed, home) if name.startswith("progress.")]


def test_another_study_that_starts_from_a_winner_begins_a_lineage(home, data):
    """At the first image of the stream; the same from scratch begins likewise."""
    winner = run(spec_of(data, PLATEAU, 384), home)
    again = run(spec_of(data, PLATEAU, 384, winner, first_sample=0), home)
    assert sizes(winner) == sizes(again) == [8, 8, 8, 16]
