"""What workers are asked to explain: a study's winner, or some images."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from modules.architecture.description import Architecture
from modules.architecture.module import Network, build_module
from modules.data.arrays import Arrays, open_arrays
from modules.evaluation.jobs import trained_network
from modules.evaluation.observing import as_batch
from modules.evaluation.outputs import Outputs
from modules.explanation.attribution import Maps, Method, captum, question_of
from modules.explanation.calibration import calibration_figures
from modules.explanation.checking import Answer, ask_all
from modules.explanation.class_figures import class_figures
from modules.explanation.examples import Pick, confused_pairs, pick_examples
from modules.explanation.focus import find_focus
from modules.explanation.neighbours import features, nearest, remark
from modules.explanation.pictures import overlay, picture
from modules.explanation.records import ConfusedPair, ErrorNeighbours, Example, Explanation, Neighbour, OneImage
from modules.parts import build
from modules.randomness import words
from modules.records import DataRecord, Part
from modules.store import Store
from modules.workers.jobs import Report, job

REVISION = 4

_PAIRS, _PAIR_IMAGES = 6, 6
_ERRORS, _NEIGHBOURS = 8, 6
_SECONDS = 20.0  # that may be spent on maps, and on features, by a measured pass: operations say little of its time
_PASSES_AN_EXAMPLE = 700  # forward and backward, of all methods and checks together
_TIMED = 32  # images of the pass that is measured
_EXAMPLES = (6, 60)
_CANDIDATES = (500, 20_000)


@job
def explain_winner(
    architecture: dict[str, Any],
    trial: str,
    selection: dict[str, Any],
    methods: dict[str, Any],
    openings: dict[str, tuple[str, str]],
    data: dict[str, Any],
    key: str,
    home: str,
    report: Report,
) -> dict[str, Any]:
    """Explain a winner on the test images; stores and returns an Explanation as `explanations/<key>`.

    `openings` says where the store keeps what the winner said about *confirm* and about the test part (kind and key):
    neither is opened again. `methods` are parts by name.
    """
    started, store, record = time.monotonic(), Store(Path(home) / "store"), DataRecord.model_validate(data)
    arrays = open_arrays(Path(home), record)
    network = trained_network(Path(home), trial, Architecture.model_validate(architecture)).eval()
    confirm, test = (_outputs(store, openings[part]) for part in ("confirm", "test"))
    places = arrays.indices("test")
    pass_seconds = _seconds_of_a_pass(network, arrays.images[places[:_TIMED]])
    picks = pick_examples(test, _affordable(pass_seconds, _PASSES_AN_EXAMPLE, _EXAMPLES))
    chosen = places[[pick.place for pick in picks]]
    predicted = test.predicted[[pick.place for pick in picks]]
    answers = _answers(network, methods, arrays.images[chosen], predicted, record.mean)
    explanation = Explanation(
        methods=tuple(answer.figures for answer in answers.values()),
        examples=_examples(picks, test, record.classes, arrays.images[chosen], answers),
        focus=tuple(
            focus
            for name, maps in _shown(answers).items()
            for focus in find_focus(name, maps, predicted, record.classes)
        ),
        classes=class_figures(test, record.classes),
        pairs=_pairs(test, record.classes, arrays.images, places),
        calibration=calibration_figures(confirm, test),
        neighbours=_neighbours(network, test, arrays, Part.model_validate(selection), record.classes, pass_seconds),
        seconds=time.monotonic() - started,
    )
    return dict(store.put("explanations", key, explanation.model_dump(mode="json")).record)


@job
def explain_image(
    architecture: dict[str, Any],
    weights: str,
    image: Any,
    mean: Sequence[float],
    classes: Sequence[str],
    methods: dict[str, Any],
    report: Report,
) -> dict[str, Any]:
    """What the network whose weights lie in a file says of one image (nested lists, H x W x C, 0 to 255), and why."""
    captum()  # without it there is nothing to say of a single image
    described = Architecture.model_validate(architecture)
    network = build_module(described)
    network.load_state_dict(safetensors.torch.load_file(Path(weights)))
    pixels = np.asarray(image, dtype=np.uint8)
    question = question_of(pixels[None], np.zeros(1, dtype=np.int64), tuple(mean))
    with torch.inference_mode():
        probabilities = network.eval()(question.images).float().softmax(dim=1)[0].numpy()
    ranked = np.argsort(-probabilities, kind="stable")
    answers = _answers(network, methods, pixels[None], ranked[:1], tuple(mean))
    return OneImage(
        probabilities={classes[index]: float(probabilities[index]) for index in ranked},
        image=picture(pixels),
        maps={name: overlay(pixels, maps[0]) for name, maps in _shown(answers).items()},
        notes=tuple(f"{name}: {answer.figures.verdict}" for name, answer in answers.items()),
    ).model_dump(mode="json")


def _outputs(store: Store, opening: tuple[str, str]) -> Outputs:
    kind, key = opening
    return Outputs.read(store.folder(kind, key) / "outputs.safetensors")


def _seconds_of_a_pass(network: Network, images: NDArray[np.uint8]) -> float:
    """Of one image among several; the first time is for the memory that it takes."""
    batch = as_batch(images)
    with torch.inference_mode():
        network(batch)
        started = time.perf_counter()
        network(batch)
    return (time.perf_counter() - started) / len(images)


def _affordable(pass_seconds: float, passes: int, bounds: tuple[int, int]) -> int:
    """How many images may be looked at, where each takes so many passes."""
    least, most = bounds
    return min(most, max(least, round(_SECONDS / (passes * pass_seconds))))


def _answers(
    network: Network,
    methods: dict[str, Any],
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    mean: tuple[float, ...],
) -> dict[str, Answer]:
    built: dict[str, Method] = {name: build(Part.model_validate(part)) for name, part in methods.items()}
    return ask_all(network, built, question_of(images, classes, mean))


def _shown(answers: dict[str, Answer]) -> dict[str, Maps]:
    """The maps of the methods that passed their checks."""
    return {name: answer.maps for name, answer in answers.items() if answer.figures.shown and answer.maps is not None}


def _examples(
    picks: Sequence[Pick],
    test: Outputs,
    names: Sequence[str],
    images: NDArray[np.uint8],
    answers: dict[str, Answer],
) -> tuple[Example, ...]:
    shown = _shown(answers)
    return tuple(
        Example(
            kind=pick.kind,
            label=names[test.labels[pick.place]],
            predicted=names[test.predicted[pick.place]],
            confidence=float(test.probabilities[pick.place].max()),
            image=picture(images[index]),
            maps={name: overlay(images[index], maps[index]) for name, maps in shown.items()},
        )
        for index, pick in enumerate(picks)
    )


def _pairs(
    test: Outputs, names: Sequence[str], images: NDArray[np.uint8], places: NDArray[np.int64]
) -> tuple[ConfusedPair, ...]:
    return tuple(
        ConfusedPair(
            label=names[pair.label],
            predicted=names[pair.predicted],
            count=len(pair.places),
            images=tuple(picture(images[places[place]]) for place in pair.places[:_PAIR_IMAGES]),
        )
        for pair in confused_pairs(test, _PAIRS)
    )


def _neighbours(
    network: Network,
    test: Outputs,
    arrays: Arrays,
    selection: Part,
    names: Sequence[str],
    pass_seconds: float,
) -> tuple[ErrorNeighbours, ...]:
    """Of the most confident errors."""
    confidences = test.probabilities.max(axis=1)
    wrong = np.flatnonzero(test.wrong)
    errors = wrong[np.argsort(-confidences[wrong], kind="stable")][:_ERRORS]
    if not len(errors):
        return ()
    arrays, train = arrays.under(selection)  # with the labels that were trained under
    most = _affordable(pass_seconds, 1, _CANDIDATES)
    candidates = np.sort(train[np.argsort(words("neighbours", arrays.identities[train]), kind="stable")[:most]])
    places = arrays.indices("test")[errors]
    found, cosines = nearest(
        features(network, arrays.images, places), features(network, arrays.images, candidates), _NEIGHBOURS
    )
    results = []
    for error, place, near, likeness in zip(errors, places, candidates[found], cosines, strict=True):
        label, predicted = names[test.labels[error]], names[test.predicted[error]]
        labels = [names[index] for index in arrays.labels[near]]
        results.append(
            ErrorNeighbours(
                label=label,
                predicted=predicted,
                confidence=float(confidences[error]),
                image=picture(arrays.images[place]),
                nearest=tuple(
                    Neighbour(label=name, similarity=float(cosine), image=picture(arrays.images[index]))
                    for name, cosine, index in zip(labels, likeness, near, strict=True)
                ),
                remark=remark(label, predicted, labels),
            )
        )
    return tuple(results)
