"""What a study decides once: every question there is, and which of them are a clock's."""

import re
from enum import Enum


class Question(Enum):
    """A text with `{}` for what it is about: the key of its answer in `decisions.json`, so that it has to stay.

    Those of the clock belong to one course of a study; all others to how it begins, which `espalier credit` hands on to
    variants, as these have no clock and might measure something else.
    """

    DATA = "data", False
    START = "start", False
    SELECTION_SHARE = "share of the selection's epochs", False
    AUGMENTATION_EFFORT = "effort of finding augmentation", False
    WIDTH = "width of the first network", False
    BATCH_SIZE = "measured batch size", False
    PRETRAINED_WEIGHTS = "weights to start from", False
    PRETRAINED_OBSTACLE = "obstacle to pretrained weights", False
    PRETRAINED_PACE = "pace of the pretrained network", False
    PRETRAINED_SECONDS = "seconds for fine-tuning", False
    LARGER_IMAGES = "look at {} pixels", False
    FAILED = "failed {}", False
    STOP = "stop before generation {}", True
    STOP_UNJUDGED = "stop before generation {} is judged", True
    TRIES = "tries of {} that begin after {}", True
    LEFT_OUT = "leave out {}", True
    FINAL_SAMPLES = "final samples", True
    FINE_TUNING_SAMPLES = "samples of a final fine-tuning", True
    FRONT_SAMPLES = "final samples of the front", True

    def __init__(self, text: str, of_the_clock: bool) -> None:
        self.text = text
        self.of_the_clock = of_the_clock

    def key(self, *about: object) -> str:
        """Under which the answer is kept."""
        return self.text.format(*about)

    def has(self, key: str) -> bool:
        """Whether an answer under this key is one to it."""
        return re.fullmatch(re.escape(self.text).replace(r"\{\}", ".*"), key, re.DOTALL) is not None


def is_of_the_clock(key: str) -> bool:
    """Whether a key is that of a clock's question."""
    return any(question.of_the_clock and question.has(key) for question in Question)


def is_stop(key: str) -> bool:
    """Whether a key is that of a question whether the generations end."""
    return Question.STOP.has(key) or Question.STOP_UNJUDGED.has(key)
