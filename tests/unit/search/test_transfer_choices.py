from pathlib import Path

import numpy as np
import pytest
from tiny_study import NUM_TRAIN, make_data, tiny_recipe

from modules.errors import ConfigError
from modules.pretrained.backbone import Backbone, Source
from modules.records import Part
from modules.search.gears import geared, thaw_cost, upper_cut
from modules.search.pace import Calibration
from modules.search.plan import Thaw, Wishes
from modules.search.planning import make_plan, training_seconds
from modules.search.transfer import (
    choose_source,
    feature_node,
    fine_tunes_first,
    fine_tuning_samples,
    head_recipe,
    may_begin,
    may_train,
    smallest_as_good,
    trains_head_alone,
    transfer_wishes,
)

LITE = Backbone(
    name="lite",
    part=Part(target="modules.pretrained.efficientnet_lite.EfficientNetLite", arguments={"width": 1.0, "depth": 1.0}),
    package="lite",
    distribution="lite-weights",
    side=224,
)
SOURCE = Source(name="lite", file=Path("lite.pth"), backbones=(LITE,))
COUNTS = (20, 20, 20)


def colour(tmp_path, side=32, channels=3):
    return make_data(tmp_path).updated(image_shape=(channels, side, side))


def test_colour_images_and_weights_at_hand(tmp_path):
    choice = choose_source("auto", SOURCE, colour(tmp_path), ["lite-weights"], COUNTS)
    assert choice.backbone == LITE
    assert f"{NUM_TRAIN} training images are few" in choice.reason


def test_without_weights_it_says_what_to_install(tmp_path):
    choice = choose_source("auto", None, colour(tmp_path), ["lite-weights"], COUNTS)
    assert choice.backbone is None
    assert "lite-weights" in choice.reason


@pytest.mark.parametrize(("changes", "said"), [({"channels": 1}, "channels"), ({"side": 8}, "smaller than 16")])
def test_images_that_do_not_suit(tmp_path, changes, said):
    data = colour(tmp_path, **changes)
    choice = choose_source("auto", SOURCE, data, ["lite-weights"], COUNTS)
    assert choice.backbone is None
    assert said in choice.reason
    with pytest.raises(ConfigError, match=said):
        choose_source("lite", SOURCE, data, ["lite-weights"], COUNTS)


def test_one_image_of_a_class(tmp_path):
    data = colour(tmp_path)
    assert choose_source("auto", SOURCE, data, ["lite-weights"], [2, 9, 9]).backbone == LITE
    choice = choose_source("auto", SOURCE, data, ["lite-weights"], [5, 1, 5])
    assert choice.backbone is None
    assert "class 'standing' has 1 training image" in choice.reason
    with pytest.raises(ConfigError, match=r"class 'standing' has 1 training image.*allowed: more images of it"):
        choose_source("lite", SOURCE, data, ["lite-weights"], [5, 1, 5])


def test_where_the_network_is_cut():
    architecture = LITE.family.architecture((3, 32, 32), 5, 64)
    assert feature_node(architecture) == "global1"
    cut = upper_cut(architecture)
    assert cut is not None
    assert architecture.shapes()[cut] == (80, 4, 4)
    assert cut in architecture.cuts()


def test_with_the_upper_blocks_thawed_more_than_the_head_is_trained():
    first = tiny_recipe().updated(architecture=LITE.family.architecture((3, 32, 32), 5, 64))
    head = head_recipe(first, copies=0)
    assert trains_head_alone(head)
    assert not trains_head_alone(first)
    upper = geared(head, first, "upper", 1e-3, 0.1)
    assert upper.frozen_until is not None
    assert not trains_head_alone(upper)


def test_the_smallest_as_good_is_told_image_by_image():
    luck = np.random.default_rng(0)
    hard = luck.exponential(1.0, 400)  # images differ by far more than heads do
    noise = luck.normal(0, 0.3, 400)
    noise -= noise.mean()
    assert smallest_as_good([hard, hard - 0.1 + noise]) == 1
    assert smallest_as_good([hard, hard - 0.01 + noise]) == 0
    assert smallest_as_good([hard, hard - 0.1, hard - 0.1]) == 1
    assert smallest_as_good([hard, hard + 0.1]) == 0
    assert smallest_as_good([hard]) == 0


def test_by_hand_within_a_standard_error():
    best = np.array([0.0, 0.0, 0.0, 0.0])
    within = np.array([-1.0, 1.0, -1.0, 3.0])  # 0.5 behind, 1.91 / 2 for a standard error
    beyond = np.array([1.0, 1.0, 1.0, 3.0])  # 1.5 behind, 1.0 / 2
    assert smallest_as_good([within, best]) == 0
    assert smallest_as_good([beyond, best]) == 1
    assert smallest_as_good([beyond, within, best]) == 1


WISHES = Wishes(
    search="edits",
    generations=None,
    edits_per_generation=3,
    slice_samples=None,
    baseline_samples=None,
    final_samples=None,
    from_scratch=True,
    max_epochs=None,
    minutes=None,
    trials=None,
    samples=None,
)


def test_few_images_are_seen_more_often():
    assert fine_tuning_samples(160) == 30 * 160
    assert fine_tuning_samples(1000) == 20_000
    assert fine_tuning_samples(10_000) == 100_000


def test_a_pretrained_network_is_edited_where_it_has_to_shrink():
    plain = transfer_wishes(WISHES, 1000, None, halvings=0)
    assert (plain.generations, plain.from_scratch, plain.final_samples) == (0, False, 20_000)
    assert transfer_wishes(WISHES, 1000, None, halvings=1).generations is None
    assert transfer_wishes(WISHES.updated(generations=2), 1000, None, halvings=0).generations == 2
    assert transfer_wishes(WISHES, 1000, 8_000.0, halvings=0).slice_samples == 1_000


@pytest.mark.parametrize(
    ("affordable", "baseline", "piece", "final"),
    [
        (None, 20_000, 2_500, 20_000),
        (100_000.0, 20_000, 2_500, 20_000),
        (40_000.0, 12_000, 1_666, 14_000),
        (33_000.0, 1_000, 1_375, 11_550),  # 0.3 of it are fewer than ten epochs: a head is shrunk, for lack of better
    ],
)
def test_what_is_to_shrink_is_fine_tuned_first(affordable, baseline, piece, final):
    wishes = transfer_wishes(WISHES.updated(thaw=thaw_cost(2, 3, 0)), 1000, affordable, halvings=1)
    assert (wishes.baseline_samples, wishes.slice_samples, wishes.final_samples) == (baseline, piece, final)
    assert wishes.thaw == Thaw()
    asked = WISHES.updated(baseline_samples=7_000, slice_samples=700, final_samples=70)
    wishes = transfer_wishes(asked, 1000, affordable, halvings=1)
    assert (wishes.baseline_samples, wishes.slice_samples, wishes.final_samples) == (7_000, 700, 70)


@pytest.mark.parametrize("edits", [1, 3, 8])
@pytest.mark.parametrize("halvings", [1, 2])
@pytest.mark.parametrize("num_train", [160, 1000, 5000])
def test_under_a_clock_there_are_generations_for_what_has_to_shrink(num_train, halvings, edits):
    pace = Calibration(samples_per_second=38, evaluation_seconds=0.1)
    for minutes in range(6, 120, 3):
        wishes = WISHES.updated(minutes=minutes, thaw=thaw_cost(2, 3, 4), edits_per_generation=edits)
        affordable = pace.samples_per_second * training_seconds(wishes, pace, 0.0, 0.0)
        plan = make_plan(transfer_wishes(wishes, num_train, affordable, halvings), num_train, pace)
        assert plan.generations >= halvings
        assert fine_tunes_first(plan, num_train) == (0.3 * affordable >= 10 * num_train)


def test_what_goes_on_from_a_fine_tuned_network_has_no_long_baseline():
    wishes = transfer_wishes(WISHES, 1000, 20_000.0, 1, is_trained=True)
    assert (wishes.baseline_samples, wishes.slice_samples, wishes.final_samples) == (833, 833, 7_000)
    assert (wishes.from_scratch, wishes.least_images) == (False, 0)
    assert transfer_wishes(WISHES, 1000, 20_000.0, 0, is_trained=True).generations == 0


@pytest.mark.parametrize("halvings", [0, 1])
def test_epochs_that_are_asked_for_are_the_most(halvings):
    wishes = transfer_wishes(WISHES.updated(max_epochs=3), 1000, None, halvings)
    assert (wishes.final_samples, wishes.max_epochs) == (3_000, 3)
    assert wishes.baseline_samples <= 3_000


def test_a_head_on_features_takes_less_time_than_fine_tuning():
    assert may_train(None, 1000)
    assert may_begin(None, 100_000, 2)
    for affordable, few, begins in (
        (10_000, True, True),
        (9_999, False, True),
        (600, False, True),
        (599, False, False),
    ):
        assert (may_train(affordable, 1000), may_begin(affordable, 1000, 2)) == (few, begins)
    assert may_begin(599, 1000, 0)  # without copies there are fewer features
    for affordable, many in ((20_000, True), (19_999, False)):
        assert may_train(affordable, 10_000) == may_begin(affordable, 10_000, 2) == many


def test_what_does_not_pay_for_fine_tuning_is_left_to_the_head():
    wishes = WISHES.updated(thaw=thaw_cost(2, 3, 0))
    enough, short = (transfer_wishes(wishes, 3000, affordable, 0) for affordable in (30_000.0, 29_999.0))
    assert enough.thaw == wishes.thaw
    assert short.thaw == Thaw()


def test_the_first_training_of_a_head_is_as_long_as_there_is_time_for():
    assert transfer_wishes(WISHES, 1000, None, 0).baseline_samples == 1000
    assert transfer_wishes(WISHES, 1000, 1_500.0, 0).baseline_samples == 750
    wished = transfer_wishes(WISHES.updated(baseline_samples=5_000), 1000, 1_500.0, 0)
    assert wished.baseline_samples == 5_000


@pytest.mark.parametrize("num_train", [40, 160, 1000])
def test_what_plans_with_fewer_minutes_plans_with_more(num_train):
    pace, plans = Calibration(samples_per_second=38, evaluation_seconds=0.1), []
    for tenths in range(5, 100):
        wishes = WISHES.updated(minutes=tenths / 10, thaw=thaw_cost(2, 3, 4))
        affordable = pace.samples_per_second * training_seconds(wishes, pace, 0.0, 0.0)
        plans.append(make_plan(transfer_wishes(wishes, num_train, affordable, 0), num_train, pace))
    assert not plans[0].thaw_samples
    assert num_train > 200 or plans[-1].thaw_samples


def test_what_judging_gears_takes_by_hand():
    assert thaw_cost(0, 3, 4) == Thaw()
    assert thaw_cost(2, 3, 0) == Thaw(slices=3, trials=3)
    # each of 2 gears: 3 rates on the first of 4 folds, then 3 folds, each training 3/4 as long; 1 on all images
    assert thaw_cost(2, 3, 4) == Thaw(slices=11, heads=3, trials=4 + 2 * 6 + 1)
    assert thaw_cost(2, 1, 4) == Thaw(slices=7, heads=3, trials=4 + 2 * 4 + 1)


def test_folds_are_paid_for_or_left_out():
    wishes = WISHES.updated(thaw=thaw_cost(2, 3, 4))
    plain = transfer_wishes(wishes, 1000, None, halvings=0)
    assert make_plan(plain, 1000, None).thaw_samples == 11 * 10_000 + 3 * 1_000
    assert transfer_wishes(wishes, 1000, 22 * 4_000.0, halvings=0).slice_samples == 4_000
    assert transfer_wishes(wishes, 1000, 22 * 2_900.0, halvings=0).thaw == Thaw()
    for samples, paid in ((90_000, True), (50_000, False)):
        limited = wishes.updated(samples=samples)
        plan = make_plan(transfer_wishes(limited, 1000, None, halvings=0), 1000, None)
        assert plan.total_samples <= samples
        assert (plan.thaw_samples >= 11 * plan.slice_samples + 3 * plan.baseline_samples > 0) == paid


def test_folds_count_among_the_trials():
    wishes = transfer_wishes(WISHES, 1000, None, halvings=0).updated(thaw=thaw_cost(2, 3, 4), generations=2)
    enough = make_plan(wishes.updated(trials=2 + 17 + 6), 1000, None)
    assert (enough.generations, enough.thaw_samples > 0) == (1, True)
    short = make_plan(wishes.updated(trials=2 + 16), 1000, None)
    assert (short.generations, short.thaw_samples) == (2, 0)
