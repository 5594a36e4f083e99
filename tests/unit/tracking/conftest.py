import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the tests themselves import MLflow
