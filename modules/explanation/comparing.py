"""Where a challenger looks elsewhere than another model: what a gate may ask before one takes the place of another."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from modules.architecture.description import Architecture
from modules.architecture.module import Network, build_module
from modules.data.arrays import open_arrays
from modules.evaluation.observing import as_batch
from modules.explanation.attribution import Method, question_of
from modules.explanation.checking import ask_all
from modules.explanation.focus import compare_attention
from modules.explanation.pictures import overlay, picture
from modules.parts import build
from modules.randomness import words
from modules.records import DataRecord, Part, Record
from modules.store import Store
from modules.workers.jobs import Report, job

REVISION = 1

_IMAGES = 40
_SHOWN = 6


class Elsewhere(Record):
    """An image at which the two look differently, with both maps (data URIs) and what both take it for."""

    image: str
    method: str
    distance: float  # 0: the same places, 1: none in common
    challenger: str
    challenger_map: str
    live: str
    live_map: str


class Comparison(Record):
    """Of two models on some images of the test part, whose labels are not looked at."""

    images: int
    agreement: float  # the fraction of them that both take for the same
    distances: dict[str, float]  # by method, of those that pass their checks: the mean over the images
    elsewhere: tuple[Elsewhere, ...]  # the most different first


@job
def compare_models(
    challenger: dict[str, Any],
    live: dict[str, Any],
    methods: dict[str, Any],
    data: dict[str, Any],
    key: str,
    home: str,
    report: Report,
) -> dict[str, Any]:
    """Ask both what speaks for the challenger's class; stores and returns a Comparison as `comparisons/<key>`.

    A model is its `architecture` and the path of its `weights` (safetensors); `methods` are parts by name. Both models
    have the same classes and take the same images.
    """
    record = DataRecord.model_validate(data)
    arrays = open_arrays(Path(home), record)
    test = arrays.indices("test")
    chosen = np.sort(test[np.argsort(words("comparison", arrays.identities[test]), kind="stable")[:_IMAGES]])
    pixels = arrays.images[chosen]
    new, old = _network(challenger), _network(live)
    new_says, old_says = _classes(new, pixels), _classes(old, pixels)
    question = question_of(pixels, new_says, record.mean)
    built: dict[str, Method] = {name: build(Part.model_validate(part)) for name, part in methods.items()}
    distances, elsewhere = {}, []
    for name, answer in ask_all(new, built, question).items():
        if answer.maps is None or not answer.figures.shown:
            continue
        others = built[name](old, question)
        difference = compare_attention(answer.maps, others)
        distances[name] = difference.mean
        elsewhere += [
            Elsewhere(
                image=picture(pixels[index]),
                method=name,
                distance=float(difference.distances[index]),
                challenger=record.classes[new_says[index]],
                challenger_map=overlay(pixels[index], answer.maps[index]),
                live=record.classes[old_says[index]],
                live_map=overlay(pixels[index], others[index]),
            )
            for index in difference.furthest[:_SHOWN]
        ]
    comparison = Comparison(
        images=len(chosen),
        agreement=float((new_says == old_says).mean()),
        distances=distances,
        elsewhere=tuple(sorted(elsewhere, key=lambda each: -each.distance)[:_SHOWN]),
    )
    return dict(Store(Path(home) / "store").put("comparisons", key, comparison.model_dump(mode="json")).record)


def _network(model: dict[str, Any]) -> Network:
    network = build_module(Architecture.model_validate(model["architecture"]))
    network.load_state_dict(safetensors.torch.load_file(Path(model["weights"])))
    return network.eval()


def _classes(network: Network, pixels: Any) -> Any:
    with torch.inference_mode():
        return network(as_batch(pixels)).argmax(dim=1).numpy()
