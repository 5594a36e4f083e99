"""What a worker process can be asked to do."""

import importlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

Report = Callable[[dict[str, Any]], None]
Job = Callable[..., dict[str, Any]]
_JobType = TypeVar("_JobType", bound=Job)

_MARK = "_espalier_job"


def job(function: _JobType) -> _JobType:
    """Mark a function of JSON-like keyword arguments, and `report`, that returns JSON-like data as a worker's job."""
    setattr(function, _MARK, True)
    return function


def find_job(name: str) -> Job:
    """The job behind `modules.<…>.<function>`; only marked functions of this program are found."""
    module, _, function = name.rpartition(".")
    if not module.startswith("modules."):
        raise LookupError(f"{name!r} is not a job of this program")
    found: Any = getattr(importlib.import_module(module), function, None)
    if not getattr(found, _MARK, False):
        raise LookupError(f"{name!r} is not a job of this program")
    return cast(Job, found)
