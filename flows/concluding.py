"""The end of a generation of any kind: *confirm* for what is kept, the record, the trunk that follows, the ledger."""

from collections.abc import Callable, Sequence

from flows import reporting
from flows.evidence import confirmation_of
from flows.study import Study
from modules.records import GenerationRecord
from modules.search.generation import Child, Comparison, Judged, Trained, Trunk, record_generation


def conclude(
    study: Study,
    number: int,
    comparison: Comparison,
    children: Sequence[Child],
    judged: Judged,
    after: Callable[[GenerationRecord], Trunk],
    on_confirm: tuple[Trained, Trained] | None = None,
) -> Trunk:
    """Open *confirm* for what is kept, have `after` make the trunk of the record, write the ledger.

    `on_confirm`: what is kept and its control as they go on, where folds were judged in their place.
    """
    kept = judged.kept_child(children)
    confirmation = confirmation_of(study, *(on_confirm or (kept.trained if kept else None, comparison.control)))
    trunk = after(record_generation(number, comparison, children, judged, confirmation))
    reporting.write_ledger(study, trunk)
    reporting.say_generation(study, trunk.generations[-1])
    return trunk
