"""Time and samples: how fast this machine trains, and what minutes and watt-hours come to."""

from modules.energy.meter import JOULES_PER_WH
from modules.errors import ConfigError
from modules.records import Record

RESERVED_SECONDS = 12.0  # for the test, the export and the report of a small network
_END_SAMPLES = 2_500  # test, explanations and int8 take as long as training so many samples
TRIAL_OVERHEAD_SECONDS = 0.8


class Calibration(Record):
    """How fast this machine trains the first recipe: samples a second, seconds for one look at *steer*, watts."""

    samples_per_second: float
    evaluation_seconds: float
    watts: float | None = None  # that the training draws; None where the system does not say
    end_seconds: float = RESERVED_SECONDS  # from the last training to the end of the study

    def with_end(self) -> "Calibration":
        """With the seconds that the end of a study takes with a network of this pace."""
        return self.updated(end_seconds=RESERVED_SECONDS + _END_SAMPLES / self.samples_per_second)

    def with_least_end(self) -> "Calibration":
        """With the end of a small network: better to be late than to have no model."""
        return self.updated(end_seconds=RESERVED_SECONDS)

    def slower(self, factor: float) -> "Calibration":
        """With a network that takes that many times as long for an image."""
        return Calibration(
            samples_per_second=self.samples_per_second / factor,
            evaluation_seconds=self.evaluation_seconds * factor,
            watts=self.watts,
            end_seconds=RESERVED_SECONDS + (self.end_seconds - RESERVED_SECONDS) * factor,
        )


def seconds_left(
    minutes: float | None, wh: float | None, calibration: Calibration | None, spent_seconds: float, spent_wh: float
) -> float | None:
    """For training, by the clock and by watt-hours, whichever is less; what the end of a study takes is reserved."""
    if calibration is None:
        return None
    left = []
    if minutes is not None:
        left.append(minutes * 60 - spent_seconds)
    if wh is not None:
        left.append((wh - spent_wh) * JOULES_PER_WH / watts_in_training(calibration, wh))
    return min(left) - calibration.end_seconds if left else None


def samples_within(seconds: float, calibration: Calibration, num_trials: int) -> float:
    """What so many trainings can see in that time, each with a look at *steer* and what is around it."""
    around = num_trials * (calibration.evaluation_seconds + TRIAL_OVERHEAD_SECONDS)
    return max(0.0, seconds - around) * calibration.samples_per_second


def share_in_training(samples: float, calibration: Calibration) -> float:
    """How much of the time of a training of so many samples is training, and not the looks and what is around it."""
    around = (calibration.evaluation_seconds + TRIAL_OVERHEAD_SECONDS) * calibration.samples_per_second
    return samples / (samples + around)


def watts_in_training(calibration: Calibration, wh: float) -> float:
    """What training draws; ConfigError where a budget of watt-hours was set and the system does not say."""
    if not calibration.watts:
        raise ConfigError(
            f"budget.wh={wh:g} cannot be kept: this system does not say what a process uses; allowed is null here, and "
            "budget.minutes or budget.samples instead"
        )
    return calibration.watts
