"""A study that nobody ran, for looking at how it is shown."""

import math

from modules.records import CurvePoint, DataRecord, TrialResult
from modules.tracking.records import StudyEnd, StudyRun, TrialRun

STARTED_AT = 1_700_000_000.0

DATA = DataRecord(
    name="mnist",
    digest="d" * 32,
    test_digest="e" * 32,
    folder="store/data/dd/" + "d" * 32,
    classes=tuple("0123456789"),
    image_shape=(1, 28, 28),
    num_images={"train": 48_000, "steer": 6_000, "confirm": 6_000, "test": 10_000},
    num_groups={"train": 47_000, "steer": 5_900, "confirm": 5_900, "test": 9_900},
    mean=(0.13,),
    std=(0.31,),
)

STUDY = StudyRun(
    name="mnist-0123abcd",
    data=DATA,
    command="espalier run data=mnist",
    started_at=STARTED_AT,
    parameters={"data.name": "mnist", "seed": "0"},
)


def trial(number: int, role: str = "edit", num_points: int = 12, **changes: object) -> TrialRun:
    """A trial whose losses fall; the higher its number, the lower."""
    curve = tuple(
        CurvePoint(
            samples=5_000 * (point + 1),
            epoch=point,
            learning_rate=0.01 / (point + 1),
            batch_size=128,
            train_loss=0.9 * math.exp(-0.3 * point) + 0.04,
            steer_loss=0.8 * math.exp(-0.3 * point) + 0.05 - 0.001 * number,
            steer_error=0.2 * math.exp(-0.3 * point) + 0.012 - 0.0003 * number,
            seconds=2.5 * (point + 1),
        )
        for point in range(num_points)
    )
    started_at = STARTED_AT + 100 * number
    result = TrialResult(
        key=f"{number:032x}",
        recipe=f"{number % 7:032x}",
        seed=number % 3,
        state_sha256="a" * 64,
        weights_sha256="b" * 64,
        samples=curve[-1].samples,
        epochs=1.25,
        updates=470,
        params=40_000 + 1_000 * number,
        flops=8_000_000 + 90_000 * number,
        seconds=31.0,
        started_at=started_at,
        finished_at=started_at + 31,
        peak_memory_bytes=600_000_000,
        stopped_by="samples",
        steer_loss=curve[-1].steer_loss - 0.001,
        steer_error=curve[-1].steer_error,
        curve=curve,
    )
    run = TrialRun(
        role=role,
        result=result,
        generation=number // 4,
        edit=None if role == "control" else "widen_layer",
        parameters={"optimizer.target": "torch.optim.AdamW", "learning_rate": "0.01", "batch_size": "128"},
    )
    return run.updated(**changes)


def trials(count: int) -> list[TrialRun]:
    """Generations of a control and three edits."""
    return [trial(number, "edit" if number % 4 else "control") for number in range(count)]


def end(champion: TrialRun | None, **changes: object) -> StudyEnd:
    """A study that came to its end an hour later."""
    study_end = StudyEnd(
        name=STUDY.name,
        state="completed",
        finished_at=STARTED_AT + 3_600,
        seconds=3_600.0,
        champion=champion,
        metrics={"study/test_openings": 1.0},
    )
    return study_end.updated(**changes)
