"""Whether a study starts from pretrained weights is settled when it begins: what is at hand may change on the way."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows import transfer
from modules.errors import StudyError
from modules.search.transfer import Choice

BACKBONE = SimpleNamespace(name="lite", distribution="lite-weights")


class FakeStudy:
    """A study as far as the question goes."""

    name = "photos"

    def __init__(self) -> None:
        self.decisions: dict[str, Any] = {}
        self.said: list[str] = []
        self.progress = SimpleNamespace(say=self.said.append)
        self.home = None
        self.settings = SimpleNamespace(pretrained="auto")
        self.laboratory = SimpleNamespace(data=SimpleNamespace(image_shape=(3, 32, 32), classes=("a", "b")))

    def decided(self, question: str, decide: Any) -> Any:
        return self.decisions.setdefault(question, decide())


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says whether there are some at hand."""

    def bring(there: bool) -> None:
        source = SimpleNamespace(backbones=(BACKBONE,)) if there else None
        choice = Choice(BACKBONE, "they are at hand") if there else Choice(None, "none are at hand")  # type: ignore[arg-type]
        monkeypatch.setattr(transfer, "find_source", lambda wish, backbones: source)
        monkeypatch.setattr(transfer, "choose_source", lambda *arguments: choice)

    arrays = SimpleNamespace(labels=np.array([0, 1]), indices=lambda part: np.array([0, 1]))
    monkeypatch.setattr(transfer, "configured_backbones", lambda settings: [BACKBONE])
    monkeypatch.setattr(transfer, "_leaves_it_open", lambda study: True)
    monkeypatch.setattr(transfer, "open_arrays", lambda home, data: arrays)
    monkeypatch.setattr(transfer, "check_classes", lambda data, counts: None)
    return bring


def test_a_study_that_began_from_scratch_stays_so(weights: Any) -> None:
    study = FakeStudy()
    weights(False)
    assert transfer.find_weights(study) is None  # type: ignore[arg-type]
    weights(True)
    assert transfer.find_weights(study) is None  # type: ignore[arg-type]
    assert study.said == ["from scratch: none are at hand", "from scratch: so this study began"]


def test_a_study_whose_weights_are_gone_says_so(weights: Any) -> None:
    study = FakeStudy()
    weights(True)
    found: Any = transfer.find_weights(study)  # type: ignore[arg-type]
    assert found[0] is BACKBONE
    weights(False)
    with pytest.raises(StudyError, match=r"began from pretrained weights, now none are at hand; .*fresh=true"):
        transfer.find_weights(study)  # type: ignore[arg-type]
