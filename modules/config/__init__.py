"""The configuration: the only import of Hydra. Past this package there are plain arguments and records."""

from modules.config.compose import config_text, group_choices, resolve, resolved_config
from modules.config.home import home_folder
from modules.config.multirun import expand_multirun
from modules.config.overrides import check_from_afar
from modules.config.settings import (
    BudgetSettings,
    DataSettings,
    ObjectiveSettings,
    OptimizerChoice,
    RunnerSettings,
    SearchSettings,
    Settings,
    TrainerSettings,
    TrainingSettings,
)
from modules.config.variations import Variations

__all__ = [
    "BudgetSettings",
    "DataSettings",
    "ObjectiveSettings",
    "OptimizerChoice",
    "RunnerSettings",
    "SearchSettings",
    "Settings",
    "TrainerSettings",
    "TrainingSettings",
    "Variations",
    "check_from_afar",
    "config_text",
    "expand_multirun",
    "group_choices",
    "home_folder",
    "resolve",
    "resolved_config",
]
