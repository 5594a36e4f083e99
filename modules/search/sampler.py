"""Which point of a space to try next: Optuna's TPE, asked and told, in memory.

What is asked follows from the seed and from what was told, and from nothing else. So nothing of it is kept: a search
that goes on asks again from the start, finds each trial in the store, and comes to where it was.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modules.search.tries import Try
from modules.space import Choice, Parameter, Space, Values, Whole

if TYPE_CHECKING:
    import optuna

_FEWEST_TO_COMPARE = 8  # complete tries
HALVING = 3  # only one in so many tries goes on from a rung


@dataclass(frozen=True)
class Asked:
    """A point to try."""

    number: int
    values: Values
    _trial: "optuna.Trial"


class Sampler:
    """TPE (Bergstra et al. 2011; multivariate, per group of parameters that apply together) with Hyperband (Li et al.
    2018) over the rungs where there is one figure; several figures make a front, and nothing is stopped.

    `first` are tried before anything is proposed.
    """

    def __init__(self, space: Space, seed: int, rungs: int = 1, figures: int = 1, first: Sequence[Values] = ()) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._names = _names(space)
        self._space = space
        self._rungs = rungs
        self._figures = figures
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if figures == 1 and rungs > 1:
            most = HALVING ** (rungs - 1)
            pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=most, reduction_factor=HALVING)
        with _experimental():
            sampler = optuna.samplers.TPESampler(seed=seed % 2**32, multivariate=True, group=True)
        self._study = optuna.create_study(
            sampler=sampler, pruner=pruner, directions=["minimize"] * figures, study_name=f"espalier-{seed}"
        )
        for values in first:
            self._study.enqueue_trial(self._named(values))

    def ask(self) -> Asked:
        """The next point."""
        trial = self._study.ask()
        values: Values = {}
        for name, parameter in self._names.items():
            if parameter.condition is None or parameter.condition.holds(values):
                values[parameter.key] = _suggested(trial, name, parameter)
        return Asked(trial.number, values, trial)

    def should_stop(self, asked: Asked, rung: int, loss: float) -> bool:
        """Whether a try that has come to a rung (0 is the first) with this loss is not worth the next one.

        It is compared with those that this was asked of before.
        """
        if self._figures > 1 or rung >= self._rungs - 1:
            return False
        asked._trial.report(loss, HALVING**rung)
        return bool(asked._trial.should_prune())

    def tell(self, asked: Asked, figures: Sequence[float] | None) -> None:
        """What a try came to; None where it was stopped or failed."""
        from optuna.trial import TrialState

        if figures is not None:
            self._study.tell(asked._trial, list(figures))
        else:
            self._study.tell(asked._trial, state=TrialState.PRUNED if self._figures == 1 else TrialState.FAIL)

    def _named(self, values: Values) -> dict[str, Any]:
        return {
            name: values[parameter.key]
            for name, parameter in self._names.items()
            if (parameter.condition is None or parameter.condition.holds(values)) and parameter.key in values
        }


def importances(space: Space, tries: Sequence[Try]) -> dict[str, float]:
    """How much each key accounts for, among the best quarter of the tries (PED-ANOVA, Watanabe et al. 2023).

    Of keys that apply everywhere, since only they can be compared; nothing where fewer than eight tries were complete.
    """
    return _shares([parameter for parameter in space.parameters if parameter.condition is None], tries)


def conditional_importances(space: Space, tries: Sequence[Try]) -> dict[str, float]:
    """The same for keys that apply under a condition, which they are named with: among the tries that meet it."""
    found: dict[str, float] = {}
    for condition in dict.fromkeys(one.condition for one in space.parameters if one.condition is not None):
        within = [one for one in tries if condition.holds(one.values)]
        applying = [one for one in space.parameters if one.condition is None or one.condition.includes(condition)]
        shares = _shares([one for one in applying if one.key != condition.key], within)
        found |= {_with_condition(one): shares[one.key] for one in applying if one.condition == condition and shares}
    return found


def _shares(parameters: Sequence[Parameter], tries: Sequence[Try]) -> dict[str, float]:
    import optuna

    done = [one for one in tries if one.state == "complete"]
    if len(done) < _FEWEST_TO_COMPARE or len(parameters) < 2:
        return {}
    distributions = {parameter.key: _distribution(parameter) for parameter in parameters}
    study = optuna.create_study()
    for one in done:
        params = {key: one.values[key] for key in distributions}
        study.add_trial(optuna.trial.create_trial(value=one.loss, params=params, distributions=distributions))
    with _experimental():
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25, region_quantile=1.0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {key: float(value) for key, value in found.items()}


def _names(space: Space) -> dict[str, Parameter]:
    """What Optuna calls each parameter: its key, with its condition where the key has several ranges."""
    keys = [parameter.key for parameter in space.parameters]
    return {
        parameter.key if keys.count(parameter.key) == 1 else _with_condition(parameter): parameter
        for parameter in space.parameters
    }


def _with_condition(parameter: Parameter) -> str:
    condition = parameter.condition
    return parameter.key if condition is None else f"{parameter.key} ({condition.phrase})"


def _suggested(trial: "optuna.Trial", name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        return trial.suggest_categorical(name, parameter.values)
    if isinstance(parameter, Whole):
        return trial.suggest_int(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    value = trial.suggest_float(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    return value if parameter.step else min(parameter.high, max(parameter.low, float(f"{value:.4g}")))


def _distribution(parameter: Parameter) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.values)
    if isinstance(parameter, Whole):
        return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


@contextmanager
def _experimental() -> Iterator[None]:
    """Optuna warns of what it may change one day; its version is pinned."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
