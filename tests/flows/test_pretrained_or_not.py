"""Whether a study starts from pretrained weights, with images of which size, and what its plan is asked for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows import transfer
from flows.transfer import Pace, Weights
from modules.config import resolve
from modules.errors import StudyError, TrainingError
from modules.search.limits import Limits
from modules.search.pace import Calibration
from modules.search.plan import Plan
from modules.search.prior import Prior
from modules.search.transfer import Choice, Fitted
from tests.unit.tiny_study import tiny_recipe

BACKBONE = SimpleNamespace(name="lite", distribution="lite-weights")
TOO_LARGE = "the network would have 3,000,000, above objective.max_params=1,000"
TOO_MANY = "the features of 900 images are too many to keep; allowed are fewer images"


def said_with(error: float) -> Any:
    """What heads say that are wrong of so many of 600 images: those of a lower error are so of some of the same."""
    return SimpleNamespace(losses=np.where(np.arange(600) < 600 * error, 2.3, 0.1))


class FakeStudy:
    """A study as far as the question goes."""

    name = "photos"
    home = None

    def __init__(self, *overrides: str, num_train: int = 800, sides: str = "32,64") -> None:
        self.settings = resolve([f"transfer.sides=[{sides}]", "augmentation=[shift]", *overrides])
        self.decisions: dict[str, Any] = {}
        self.said: list[str] = []
        self.progress = SimpleNamespace(say=lambda said, style="": self.said.append(said))
        data = SimpleNamespace(image_shape=(3, 32, 32), classes=("a", "b"))
        self.laboratory = SimpleNamespace(
            latency_ms=lambda architecture: 0.0,
            data=data,
            num_selected=lambda recipe: num_train,
            said_by_heads=lambda key: said_with(float(key)),
        )
        self.clock, self.energy = SimpleNamespace(seconds=0.0), SimpleNamespace(wh=0.0)
        self.found = self.policy = None
        self.prior = Prior()

    def decided(self, question: str, decide: Any) -> Any:
        if question not in self.decisions:
            self.decisions[question] = decide()
        return self.decisions[question]


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Says whether there are some at hand, and with which content."""

    def bring(content: str | None) -> None:
        file = tmp_path / "lite.pth"
        source = None if content is None else SimpleNamespace(backbones=(BACKBONE,), file=file)
        choice = Choice(None, "none are at hand") if content is None else Choice(BACKBONE, "they are at hand")  # type: ignore[arg-type]
        file.write_text(content or "")
        monkeypatch.setattr(transfer, "find_source", lambda wish, backbones: source)
        monkeypatch.setattr(transfer, "choose_source", lambda *arguments: choice)

    arrays = SimpleNamespace(labels=np.array([0, 1]), indices=lambda part: np.array([0, 1]))
    monkeypatch.setattr(transfer, "configured_backbones", lambda settings: [BACKBONE])
    monkeypatch.setattr(transfer, "open_arrays", lambda home, data: arrays)
    return bring


def found(study: FakeStudy) -> Any:
    return transfer.find_weights(study)  # type: ignore[arg-type]


def test_a_study_that_began_from_scratch_stays_so(weights: Any) -> None:
    study = FakeStudy()
    weights(None)
    assert found(study) is None
    weights("some")
    assert found(study) is None
    assert study.said == ["from scratch: none are at hand", "from scratch: so this study began"]


def test_a_study_whose_weights_are_gone_or_are_others_says_so(weights: Any) -> None:
    study = FakeStudy()
    weights("some")
    assert found(study).backbone is BACKBONE
    assert found(study).reason == "they are at hand"
    weights(None)
    with pytest.raises(StudyError, match=r"began from .* lite \(SHA-256 \w{16}\); now none are at hand; .*fresh=true"):
        found(study)
    weights("others")
    with pytest.raises(StudyError, match=r"those of lite \(SHA-256 \w{16}\) are at hand; bring them back"):
        found(study)


@pytest.mark.parametrize(
    "wish", ["search.space=recipe", "search.optimizers=[muon]", "training.batch_size=measured", "model.width=0.5"]
)
def test_what_is_done_from_scratch_alone_is_done_from_scratch(weights: Any, wish: str) -> None:
    weights("some")
    study = FakeStudy(wish)
    assert found(study) is None
    expected = f"from scratch: {wish.partition('=[')[0]} is for networks that are trained from scratch"
    assert study.said == ([] if wish.startswith("model") else [expected])
    without = FakeStudy()
    without.decisions = study.decisions  # as where `espalier credit` leaves the wish out
    assert found(without) is None


@pytest.mark.parametrize(
    ("asked_for", "smoothing"),
    [
        ([], 0.1),
        (["transfer.label_smoothing=0.3"], 0.3),
        (["training.label_smoothing=0.2"], 0.2),
        (["training.label_smoothing=0"], 0.0),
    ],
)
def test_labels_are_smoothed_as_asked_for(asked_for: list[str], smoothing: float) -> None:
    family: Any = SimpleNamespace(architecture=lambda *arguments: tiny_recipe().architecture)
    backbone: Any = SimpleNamespace(family=family)
    assert transfer._first(FakeStudy(*asked_for), tiny_recipe(), backbone, 32).label_smoothing == smoothing  # type: ignore[arg-type]


LITE: Any = Weights(BACKBONE, None, "they are at hand")  # type: ignore[arg-type]


def head(side: int, error: float, **more: Any) -> Fitted:
    counts = {"asked": 600, "images": 800, "fitted_to": 600, "features": 1280}
    digests = {"key": str(error), "state_sha256": "s"}
    seconds = {"feature_seconds": 1.0, "head_seconds": 1.0}
    return Fitted(
        side=side, penalty=0.1, loss=1.0, error=error, steer_error=error, **counts, **digests, **seconds, **more
    )


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """The heads by size; an error in place of one is raised."""
    heads: dict[int, Any] = {32: head(32, 0.3), 64: head(64, 0.2)}

    def fit(study: Any, recipe: Any, weights: Any, side: int) -> Fitted:
        if isinstance(heads[side], Exception):
            raise heads[side]
        return heads[side]

    monkeypatch.setattr(transfer, "fit_head", fit)
    monkeypatch.setattr(transfer, "find_weights", lambda study: LITE)
    monkeypatch.setattr(transfer, "_pace_of", lambda study, recipe, backbone: None)
    monkeypatch.setattr(transfer, "_first", lambda study, recipe, backbone, side: tiny_recipe(batch_size=side))
    monkeypatch.setattr(transfer, "excess_of", lambda study, architecture: None)
    monkeypatch.setattr(transfer.reporting, "keep_heads", lambda study, kept: study.said.append(kept))
    return heads


def planted(study: FakeStudy) -> Any:
    return transfer.plant_pretrained(study, tiny_recipe())  # type: ignore[arg-type]


def test_features_that_are_too_many_are_a_reason_where_the_study_may_choose(fitted: Any) -> None:
    fitted[32] = TrainingError(TOO_MANY)
    study = FakeStudy()
    assert planted(study) is None
    assert study.said == ["from scratch: the features of 900 images are too many to keep"]
    fitted[32] = head(32, 0.3)
    assert planted(study) is None  # settled
    fitted[32] = TrainingError(TOO_MANY)
    with pytest.raises(TrainingError, match="too many to keep; allowed are"):
        planted(FakeStudy("pretrained=efficientnet_lite0"))


@pytest.mark.parametrize(
    ("overrides", "starts"),
    [
        (["search=none"], False),
        (["search.generations=0"], False),
        ([], True),
        (["search=none", "pretrained=efficientnet_lite0"], True),
    ],
)
def test_a_limit_that_no_generation_can_meet(
    fitted: Any, monkeypatch: pytest.MonkeyPatch, overrides: list[str], starts: bool
) -> None:
    monkeypatch.setattr(transfer, "excess_of", lambda study, architecture: TOO_LARGE)
    study = FakeStudy(*overrides)
    assert (planted(study) is not None) == starts
    assert starts or study.said == [
        f"from scratch: with the weights of lite {TOO_LARGE}, and no generation is to shrink it"
    ]


@pytest.mark.parametrize("share", [1.0, 0.5])  # nor further beyond it
def test_larger_images_do_not_lead_beyond_a_limit(fitted: Any, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    first = {
        32: tiny_recipe(),
        64: tiny_recipe(architecture=tiny_recipe().architecture.updated(image_shape=(1, 16, 16))),
    }
    limits = Limits(max_flops=round(share * first[32].architecture.flops))
    monkeypatch.setattr(transfer, "_first", lambda study, recipe, backbone, side: first[side])
    monkeypatch.setattr(transfer, "configured_limits", lambda settings: limits)
    study = FakeStudy()
    assert planted(study).fitted.side == 32
    assert any(str(said).startswith("images of 64 pixels are too large: the network would have") for said in study.said)


# Training everything takes ten times as long as there is time for; a head on features takes a moment.
SLOW = Pace(Calibration(samples_per_second=40, evaluation_seconds=1.0), seconds=100.0, smallest=32)


@pytest.mark.parametrize(
    ("overrides", "num_train", "starts"),
    [
        ([], 800, True),
        ([], 5_000, True),
        (["transfer.copies=6"], 5_000, False),  # the features of these and their copies take half of the time already
        ([], 6_000, False),
        (["pretrained=efficientnet_lite0"], 6_000, True),
    ],
)
def test_few_images_need_time_for_features_alone(
    fitted: Any, monkeypatch: pytest.MonkeyPatch, overrides: list[str], num_train: int, starts: bool
) -> None:
    monkeypatch.setattr(transfer, "_pace_of", lambda study, recipe, backbone: SLOW)
    study = FakeStudy(*overrides, num_train=num_train)
    assert (planted(study) is not None) == starts
    assert starts or "the budget does not pay for" in study.said[0]


def test_larger_images_take_longer_at_the_end_too() -> None:
    pace = Pace(Calibration(samples_per_second=40, evaluation_seconds=1.0).with_end(), seconds=500.0, smallest=32)
    assert pace.calibration.end_seconds == 12 + 2500 / 40
    there = pace.calibration_at(64)
    assert (there.samples_per_second, there.evaluation_seconds, there.end_seconds) == (10, 4.0, 12 + 2500 / 10)
    assert pace.affordable == 500 * 40
    assert pace.affordable_at(32) == (500 - 62.5) * 40
    assert pace.affordable_at(64) == (500 - 250) * 10
    assert pace.affordable_at(128) == 0


def test_larger_images_do_not_take_the_time_for_fine_tuning() -> None:
    study: Any = FakeStudy("budget.minutes=2.1")  # of which 100 seconds are for training
    small = head(32, 0.3)
    assert transfer._has_time(study, small, 64, 50, None)
    assert transfer._has_time(study, small, 64, 50, SLOW)  # 4,000 samples at 32 pixels, 1,000 at 64: 20 epochs
    assert not transfer._has_time(study, small.updated(feature_seconds=3.0), 64, 50, SLOW)  # 10 s are a tenth
    assert not transfer._has_time(study, small, 64, 200, SLOW)  # 20 epochs become 5
    assert transfer._has_time(study, small, 64, 800, SLOW)  # there is no time for them anyway
    assert transfer._has_time(study, small.updated(feature_seconds=19.0), 64, 800, SLOW)
    assert not transfer._has_time(study, small.updated(feature_seconds=20.0), 64, 800, SLOW)
    study.clock.seconds = 120.0
    assert not transfer._has_time(study, small, 64, 800, SLOW)  # nothing is left


@pytest.mark.parametrize(
    ("errors", "looked_at", "chosen"),
    [
        ((0.3, 0.2, 0.1), 3, 96),
        ((0.3, 0.2, 0.2), 3, 64),  # as good
        ((0.3, 0.2, 0.25), 3, 64),
        ((0.3, 0.31, 0.1), 2, 32),  # larger ones are not better: no reason to look further
        ((0.3, 0.299, 0.2), 3, 96),
    ],
)
def test_the_smallest_images_that_are_as_good_as_any(
    fitted: Any, errors: tuple[float, ...], looked_at: int, chosen: int
) -> None:
    fitted.update({side: head(side, error) for side, error in zip((32, 64, 96), errors, strict=True)})
    study = FakeStudy(sides="32,64,96")
    assert planted(study).fitted.side == chosen
    (kept,) = [said for said in study.said if not isinstance(said, str)]
    assert (len(kept.fitted), kept.side) == (looked_at, chosen)


def test_the_learning_curve_ends_with_what_its_heads_were_fitted_to(fitted: Any) -> None:
    points = tuple((images, 40 / images, 700) for images in (100, 200, 400))
    fitted[32] = head(32, 0.1, curve=points)
    fitted[64] = head(64, 0.1)
    study = FakeStudy()
    planted(study)
    (kept,) = [said for said in study.said if not isinstance(said, str)]
    assert [images for images, _ in kept.curve.points] == [100, 200, 400, 600]
    assert [images for images, *_ in kept.curve.predicted] == [1_600, 3_200]


def new_plan(study: FakeStudy) -> Plan:
    return transfer._plan_for(study, tiny_recipe(), None)  # type: ignore[arg-type]


def test_only_a_limit_that_is_exceeded_asks_for_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    study = FakeStudy("objective.max_params=1000")
    monkeypatch.setattr(transfer, "halvings_of", lambda study, architecture: 0)
    assert new_plan(study).generations == 0
    monkeypatch.setattr(transfer, "halvings_of", lambda study, architecture: 1)
    assert new_plan(study).generations == 3


def test_the_plan_keeps_the_digest_of_what_earlier_studies_taught() -> None:
    study: Any = FakeStudy("search.baseline_samples=123")
    assert (new_plan(study).prior, new_plan(study).baseline_samples) == (None, 123)
    study.prior = SimpleNamespace(lessons=("one",), content_digest="digest")
    assert new_plan(study).prior == "digest"
