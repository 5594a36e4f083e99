"""The configuration: the only import of Hydra. Past this package there are plain arguments and records."""

from modules.config.compose import resolve, resolved_config
from modules.config.home import home_folder
from modules.config.settings import (
    BudgetSettings,
    DataSettings,
    ObjectiveSettings,
    SearchSettings,
    Settings,
    TrainerSettings,
    TrainingSettings,
)
from modules.config.sweeps import expand_sweep

__all__ = [
    "BudgetSettings",
    "DataSettings",
    "ObjectiveSettings",
    "SearchSettings",
    "Settings",
    "TrainerSettings",
    "TrainingSettings",
    "expand_sweep",
    "home_folder",
    "resolve",
    "resolved_config",
]
