"""MLflow without telemetry, and without its and its libraries' remarks: what matters comes as an exception."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Read by MLflow when it is imported or at each request; what the user has set wins.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}
_TALKATIVE = ("mlflow", "mlflow.store.db.utils", "alembic", "urllib3.connectionpool")


@contextmanager
def quiet() -> Iterator[None]:
    """Import and use MLflow here."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [talker.level for talker in loggers]
    for talker in loggers:
        talker.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for talker, level in zip(loggers, levels, strict=True):
            talker.setLevel(level)
