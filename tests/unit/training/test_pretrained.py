"""Heads on the features of a network that was trained before: whom they are asked about, and what the record says."""

import numpy as np
import pytest
from tiny_study import NUM_TRAIN, NUMERICS, make_data, quiet, tiny_recipe

from modules.records import Part
from modules.training import pretrained
from modules.training.pretrained import fit_head
from modules.training.spec import Slice, Start, TrialSpec
from modules.training.trial import run_trial


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def data(home):
    return make_data(home)


@pytest.fixture(scope="module")
def start(home, data):
    piece = Slice(samples=160, evaluate_every=160)
    spec = TrialSpec(recipe=tiny_recipe(), slice=piece, seed=0, data=data, numerics=NUMERICS)
    trained = run_trial(spec, home, quiet)
    return Start(kind="trials", key=trained.key, state_sha256=trained.state_sha256)


def head_of(**changes):
    return tiny_recipe(frozen_until="pool1", augmentation_copies=1, **changes)


def fitted(home, data, start, key, num_folds=3):
    plain = {"recipe": head_of(), "start": start, "data": data, "numerics": NUMERICS}
    arguments = {name: each.model_dump(mode="json") for name, each in plain.items()}
    return fit_head(
        **arguments, num_folds=num_folds, seed=0, curve=True, penalty=None, key=key * 32, home=str(home), report=quiet
    )


def bench_of(home, data, start, **changes):
    return pretrained._Bench(head_of(**changes), start, data.model_dump(mode="json"), NUMERICS, home, quiet)


def test_the_seconds_that_features_took_are_those_of_computing_them(home, data, start):
    computed, found = (fitted(home, data, start, key) for key in "ab")
    assert computed["feature_seconds"] == found["feature_seconds"] > 0


def test_it_is_said_how_many_images_heads_were_fitted_to(home, data, start):
    assert fitted(home, data, start, "c")["fitted_to"] == NUM_TRAIN * 2 // 3
    on_steer = fitted(home, data, start, "d", num_folds=0)
    assert (on_steer["fitted_to"], on_steer["asked"]) == (NUM_TRAIN, 20)


def test_a_learning_curve_asks_about_nothing_like_what_its_heads_saw(home, data, start, monkeypatch):
    """Ten images a group, of all classes."""
    bench, met = bench_of(home, data, start), []
    groups = np.arange(NUM_TRAIN) // 10
    bench.__dict__["groups"] = groups.astype(np.uint64)
    group = dict(zip(bench.all.tolist(), groups.tolist(), strict=True))
    fit, ask = bench.fit, bench.ask
    monkeypatch.setattr(bench, "fit", lambda chosen, penalties: met.append([chosen]) or fit(chosen, penalties))
    monkeypatch.setattr(bench, "ask", lambda head, asked: met[-1].append(asked) or ask(head, asked))
    points = list(bench.learning_curve((0.1,), seed=0))
    assert {point.images for point in points} == {6, 15, 30}
    for chosen, asked in met:
        seen = {group[index] for index in chosen.tolist()}
        assert len(seen) <= -(-len(chosen) // 10) + 3  # of each class whole groups, but for the last
        assert not seen & {group[index] for index in asked.tolist() if index in group}
        assert set(bench.steer.tolist()) <= set(asked.tolist())


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        (None, None),
        ("class_weights.ClassWeights", [1.0, 2.0, 4.0]),
        ("oversampling.Oversampling", [1.0, 2.0, 4.0]),
    ],
)
def test_heads_weigh_classes_as_trainings_do(home, data, start, balance, expected):
    part = None if balance is None else Part(target=f"modules.selection.balance.{balance}")
    weights = bench_of(home, data, start, balance=part)._class_weights(np.repeat([0, 1, 2], [16, 8, 4]))
    assert expected is None if weights is None else (weights / weights[0]).tolist() == pytest.approx(expected)
