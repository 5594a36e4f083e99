"""What each edit has earned in the study so far: a factor on the odds of trying it again."""

from collections.abc import Sequence

from modules.records import LedgerRow, Record
from modules.search.judging import PRIOR_EFFECT, Effect

# Before anything is known one in four is kept, which is worth four tries: the mean of a beta posterior. The little that
# a study tries moves the odds; it does not decide.
_PRIOR_KEPT = 1.0
_PRIOR_TRIED = 4.0
_RANGE = 4.0  # what has earned most is this much likelier than what nobody has tried, and that than what has failed


_EARLIER = 4.0  # tries at most that earlier studies count for, however many there were: other data, other networks


class Earlier(Record):
    """How often an edit was tried, and kept, in earlier studies on this machine."""

    tried: int = 0
    kept: int = 0

    @property
    def weighed(self) -> tuple[float, float]:
        """Tried and kept, as what they count for."""
        weight = min(1.0, _EARLIER / self.tried) if self.tried else 0.0
        return weight * self.tried, weight * self.kept


class Credit(Record):
    """What an edit has earned. The gain is a fraction of the loss, expected and for its cost, a mean over its tries."""

    edit: str
    tried: int = 0
    kept: int = 0
    gain: float = 0.0
    weight: float = 1.0
    earlier: Earlier = Earlier()

    @property
    def _elsewhere(self) -> str:
        return (
            f"was kept {self.earlier.kept} of {self.earlier.tried} times in earlier studies"
            if self.earlier.tried
            else ""
        )

    @property
    def sentence(self) -> str:
        """What was earned and what follows; nothing where nothing was tried."""
        if not self.tried:
            return self._elsewhere and f"{self.edit} {self._elsewhere}, so that its odds are times {self.weight:.2f}"
        elsewhere = f" and it {self._elsewhere}" if self._elsewhere else ""
        return (
            f"{self.edit} was kept {self.kept} of {self.tried} times so far and its expected gain for its cost was "
            f"{self.gain:+.1%} of the loss{elsewhere}, so that its odds are times {self.weight:.2f}"
        )


def credit_of(edit: str, rows: Sequence[LedgerRow], loss: float, earlier: Earlier | None = None) -> Credit:
    """The credit of an edit by the rows of earlier generations that were trained; `loss` is the parent's on *steer*.

    What was `earlier` elsewhere moves the prior, by no more than what it is itself worth.
    """
    earlier = earlier or Earlier()
    elsewhere_tried, elsewhere_kept = earlier.weighed
    gains = [_gain(row, loss) for row in rows if row.edit == edit and row.steer_effect is not None]
    if not gains and not earlier.tried:
        return Credit(edit=edit)
    kept = sum(row.edit == edit and row.kept for row in rows)
    often = (kept + elsewhere_kept + _PRIOR_KEPT) / (len(gains) + elsewhere_tried + _PRIOR_TRIED)
    often *= _PRIOR_TRIED / _PRIOR_KEPT
    much = 2 ** (sum(gains) / (len(gains) + _PRIOR_TRIED) / PRIOR_EFFECT)  # twice for a gain as large as effects are
    weight = min(_RANGE, max(1 / _RANGE, often * much))
    mean = sum(gains) / len(gains) if gains else 0.0
    return Credit(edit=edit, tried=len(gains), kept=kept, gain=mean, weight=weight, earlier=earlier)


def _gain(row: LedgerRow, loss: float) -> float:
    """The expected gain as a fraction of the loss, for its cost in operations; seconds would differ from run to run."""
    assert row.steer_effect is not None
    effect = Effect(row.steer_effect.estimate, row.steer_effect.standard_error, freedom=1.0)
    cost = row.certificate.flops_after / row.certificate.flops_before if row.certificate else 1.0
    return effect.shrunk_gain(loss) / loss / cost if loss > 0 else 0.0
