import pytest

from flows.translation import configured_wishes
from modules.config import resolve
from modules.errors import ConfigError
from modules.records import Part
from modules.search.augmentation import (
    BUDGET_SHARE,
    CONTROLS,
    Candidate,
    Confusion,
    Looks,
    Seen,
    brief_selection,
    candidates_of,
    certain,
    effort,
    floor,
    gained,
    higher,
    in_order_of_gain,
    most_trials,
    sifted,
)
from modules.search.pace import Calibration, samples_within
from modules.search.planning import training_seconds

CLASSES = tuple("0123456789")
HARMLESS = Confusion(of=1, taken_for=2, rise=0.01, images=100)


def rotate(degrees):
    return Part(target="modules.augmentation.rotate.Rotate", arguments={"max_degrees": degrees, "padding": "zeros"})


def flip(direction):
    return Part(target="modules.augmentation.flip.Flip", arguments={"probability": 0.5, "direction": direction})


def candidate(transform, cost=0.2, **changes):
    usual = {"affinity": -0.02, "diversity": 1.3, "confusion": HARMLESS, "change": 0.1}
    return Candidate(transform=transform, cost=cost, **{**usual, **changes})


def why(*candidates):
    return [each.why for each in sifted(candidates, CLASSES)]


def test_figures_are_relative_to_images_as_they_are():
    def looks(plain, *losses):
        def seen(loss):
            return Seen(loss=loss, error=loss / 10, change=0.1, confusion=HARMLESS)

        return Looks(plain=seen(plain), seen=tuple(map(seen, losses)))

    one, two = candidates_of(
        [rotate(5.0), rotate(9.0)], looks(0.1, 0.2, 0.5), looks(0.2, 0.3, 0.2), looks(0.05, 0.1, 0.05), 0.0
    )
    assert (one.affinity, two.affinity) == (pytest.approx(-0.01), pytest.approx(-0.04))
    assert (one.cost, two.cost) == (pytest.approx(0.5), pytest.approx(0.0))
    assert (one.diversity, two.diversity) == (pytest.approx(2.0), pytest.approx(1.0))


def test_what_breaks_a_label_is_dropped_and_says_which():
    flipped = Confusion(of=2, taken_for=5, rise=0.34, images=100, surely=0.17)
    (reason,) = why(candidate(flip("horizontal"), confusion=flipped))
    assert "breaks the meaning of a label: 34% more of '2' are taken for '5'" in reason


@pytest.mark.parametrize(("surely", "kept"), [(-0.2, True), (0.1, True), (0.11, False)])
def test_only_a_rise_that_is_sure_accuses(surely, kept):
    confusion = Confusion(of=2, taken_for=5, rise=0.34, images=100, surely=surely)
    assert (why(candidate(flip("vertical"), confusion=confusion)) == [""]) == kept


def test_a_first_network_that_is_surprised_is_no_reason_to_drop():
    assert why(candidate(flip("horizontal"), affinity=-0.4)) == [""]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"change": 0.0}, "changes nothing"),
        ({"cost": 0.8}, "too strong: the loss on steer is 80% higher"),
        ({"diversity": 1.0}, "nothing to learn"),
    ],
)
def test_each_reason_to_drop_is_said(changes, said):
    (reason,) = why(candidate(rotate(5.0), **changes))
    assert said in reason


def test_of_each_kind_the_greatest_strength_that_is_not_too_much_is_left():
    reasons = why(
        candidate(rotate(5.0), 0.1),
        candidate(rotate(10.0), 0.3),
        candidate(rotate(40.0), 2.0),
        candidate(flip("vertical")),
    )
    assert reasons[0] == "a greater strength of it is not too much either"
    assert reasons[1] == reasons[3] == ""
    assert "too strong" in reasons[2]
    assert why(candidate(flip("vertical")), candidate(flip("horizontal"))) == ["", ""]  # two kinds


def test_what_training_with_it_does_decides_and_orders():
    left = [candidate(rotate(10.0)), candidate(flip("vertical"), why="dropped"), candidate(flip("horizontal"))]
    left.append(candidate(rotate(20.0)))
    after = gained(left, {0: 0.19, 2: 0.21, 3: 0.15}, control=0.20, floor=0.0)
    assert [each.gain for each in after] == [pytest.approx(0.05), None, pytest.approx(-0.05), pytest.approx(0.25)]
    assert after[2].why == "training with it raises the loss on steer by 5.0%"
    assert in_order_of_gain(after) == [3, 0]


def test_it_is_looked_at_with_every_image_transformed():
    assert certain(flip("vertical")).arguments == {"probability": 1.0, "direction": "vertical"}
    assert certain(rotate(5.0)) == rotate(5.0)


def test_names_say_the_strength():
    assert candidate(rotate(7.5)).name == "Rotate, max_degrees 7.5"
    assert candidate(flip("vertical")).name == "Flip, vertical"


def samples_of(spend, candidates):
    """All that is trained if one strength of every kind is left."""
    return 2 * spend.brief_samples + (most_trials(candidates) - 2) * spend.slice_samples


@pytest.mark.parametrize("rate", [500, 2000, 20_000])
def test_of_a_quarter_of_an_hour_it_takes_a_tenth_at_most(rate):
    settings = resolve(["augmentation=auto", "budget.minutes=15"])
    candidates, wishes = settings.augmentation.candidates, configured_wishes(settings)
    calibration = Calibration(samples_per_second=rate, evaluation_seconds=0.3)
    seconds = BUDGET_SHARE * training_seconds(wishes, calibration, 0.0, 0.0)
    spend = effort(samples_within(seconds, calibration, most_trials(candidates)), candidates)
    looks = len(candidates) * spend.images  # three of them without a step backwards
    around = most_trials(candidates) * (0.8 + calibration.evaluation_seconds)
    assert (samples_of(spend, candidates) + looks) / rate + around <= 0.1 * 15 * 60
    assert spend.brief_samples <= effort(None, candidates).brief_samples


def test_one_strength_of_a_kind_is_trained_with():
    candidates = [rotate(5.0), rotate(10.0), flip("vertical"), flip("horizontal")]
    assert most_trials(candidates) == 2 + CONTROLS + 3


@pytest.mark.parametrize("affordable", [20_000, 50_000, 10**9])
def test_no_more_is_trained_than_is_affordable(affordable):
    candidates = [rotate(5.0), rotate(10.0), flip("vertical")]
    spend = effort(affordable, candidates)
    assert samples_of(spend, candidates) <= min(affordable, samples_of(effort(None, candidates), candidates))


def test_what_does_not_pay_for_a_tenth_of_the_usual_is_refused():
    with pytest.raises(
        ConfigError, match="tries 1 transforms and trains 6,100 samples at least, and 10% of the budget pays for 6,000"
    ):
        effort(6_000, [rotate(5.0)])
    assert effort(6_100, [rotate(5.0)]).brief_samples == 2_400


def test_no_loss_is_compared_with_nothing():
    assert higher(0.02, 0.01, 0.0) == pytest.approx(1.0)
    assert higher(0.001, 0.0, floor(10, 200)) == pytest.approx(0.0868, abs=1e-3)  # a tenth of a guess
    assert higher(0.3, 0.2, floor(10, 10_000)) == pytest.approx(0.5, abs=1e-3)


def test_few_images_are_all_trained_on():
    assert brief_selection(1000).arguments["fraction"] == 1.0
    assert brief_selection(50_000).arguments["fraction"] == pytest.approx(0.1)
