"""The questions of a study: studies that were begun go on by their texts, and variants get those of the beginning."""

from flows.decisions import Question, is_of_the_clock, is_stop

STOPS = ("stop before generation 2", "stop before generation 2 is judged")
CLOCKS = (
    *STOPS,
    "tries of before that begin after 3",
    "leave out final training from scratch",
    "leave out widen_layer widen conv1\nfrom 8 to 12 channels of generation 1",
    "final samples",
    "samples of a final fine-tuning",
    "final samples of the front",
)
BEGINNINGS = (
    "data",
    "start",
    "share of the selection's epochs",
    "effort of finding augmentation",
    "width of the first network",
    "measured batch size",
    "weights to start from",
    "obstacle to pretrained weights",
    "pace of the pretrained network",
    "seconds for fine-tuning",
    "look at 96 pixels",
    "failed to train 0123abcd",
)


def test_what_studies_have_decided_is_still_known_by_its_key():
    assert {question for question in Question if not any(map(question.has, (*CLOCKS, *BEGINNINGS)))} == set()
    assert [key for key in (*CLOCKS, *BEGINNINGS) if not any(question.has(key) for question in Question)] == []


def test_a_key_is_what_the_question_is_about():
    assert Question.TRIES.key("before", 3) == CLOCKS[2]
    assert Question.LARGER_IMAGES.key(96) == "look at 96 pixels"
    assert Question.FAILED.key("to begin {a}") == "failed to begin {a}"


def test_a_clocks_decisions_are_told_from_those_of_the_beginning():
    assert all(map(is_of_the_clock, CLOCKS))
    assert not any(map(is_of_the_clock, BEGINNINGS))
    assert tuple(filter(is_stop, (*CLOCKS, *BEGINNINGS))) == STOPS
