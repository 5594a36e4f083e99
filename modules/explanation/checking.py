"""The methods of a study, each asked and checked: one that fails a check is not shown as an explanation."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from modules.architecture.module import Network
from modules.errors import ConfigError
from modules.explanation.attribution import Maps, Method, NoMapError, Question
from modules.explanation.deletion import DeletionCheck, deletion_check
from modules.explanation.records import MethodFigures
from modules.explanation.sanity import SanityCheck, sanity_check


class Answer(NamedTuple):
    """A method's maps (None where there are none) and what its checks say."""

    maps: Maps | None
    figures: MethodFigures


def ask_all(network: Network, methods: Mapping[str, Method], question: Question) -> dict[str, Answer]:
    """Every method on the same images."""
    return {name: _ask(network, name, method, question) for name, method in methods.items()}


def _ask(network: Network, name: str, method: Method, question: Question) -> Answer:
    try:
        maps = method(network, question)
    except (NoMapError, ConfigError) as error:
        return Answer(None, MethodFigures(name=name, shown=False, verdict=f"not shown: {error}"))
    deletion = deletion_check(network, question, maps)
    sanity = sanity_check(network.architecture, method, question, maps)
    shown = deletion.passed and sanity.passed
    return Answer(
        maps,
        MethodFigures(
            name=name,
            shown=shown,
            verdict=_verdict(deletion, sanity),
            deletion_area=deletion.area,
            deletion_elsewhere=deletion.area_elsewhere,
            deletion_p=deletion.p_value,
            similarity=sanity.similarity,
        ),
    )


def _verdict(deletion: DeletionCheck, sanity: SanityCheck) -> str:
    faults: Sequence[str] = [
        *(
            []
            if deletion.passed
            else [f"taking out what it points at hurts no more than other places ({_areas(deletion)})"]
        ),
        *([] if sanity.passed else [f"its maps are much the same with random weights ({_likeness(sanity)})"]),
    ]
    if faults:
        return f"not shown: {', and '.join(faults)}"
    return (
        f"passed: taking out what it points at hurts more than other places ({_areas(deletion)}), and its maps change "
        f"with random weights ({_likeness(sanity)})"
    )


def _areas(deletion: DeletionCheck) -> str:
    areas = f"mean probability {deletion.area:.2f} against {deletion.area_elsewhere:.2f}"
    return f"{areas}, p = {deletion.p_value:.2g}"


def _likeness(sanity: SanityCheck) -> str:
    return f"rank correlation {sanity.similarity:.2f}"
