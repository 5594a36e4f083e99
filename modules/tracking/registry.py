"""Bundles in MLflow's registry: the ONNX model with its signature and an example, and aliases that follow what is live.

`promotions.jsonl` is the truth; `espalier sync` writes what is here again from it and from the bundles.
"""

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from modules.records import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BUNDLE = "espalier.bundle"
_FOLDER = "model"  # among the artifacts of the study's run
_PINNED = ("mlflow", "onnx", "onnxruntime", "numpy")


class RegisteredBundle(Record):
    """What the registry is told of a bundle; `model_file` takes uint8 images (N, height, width, channels)."""

    model: str
    version: str
    model_file: Path
    image_shape: tuple[int, int, int]
    num_classes: int
    description: str


def register(client: "MlflowClient", run: str, bundle: RegisteredBundle) -> str:
    """The number of the bundle's version in the registry, made or found; the newest is the alias `challenger`."""
    found = number_of(client, bundle.model, bundle.version)
    if found is None:
        _make_sure_of(client, bundle.model)
        with tempfile.TemporaryDirectory() as folder:
            save_model(bundle, Path(folder) / _FOLDER)
            client.log_artifacts(run, str(Path(folder) / _FOLDER), _FOLDER)
        source = f"{client.get_run(run).info.artifact_uri}/{_FOLDER}"
        tags = {_BUNDLE: bundle.version}
        made = client.create_model_version(bundle.model, source, run, tags=tags, description=bundle.description)
        found = str(made.version)
    client.set_registered_model_alias(bundle.model, "challenger", found)
    return found


def point_alias(client: "MlflowClient", model: str, version: str, alias: str) -> None:
    """Let an alias follow a bundle that is registered; one that is not, is no fault."""
    number = number_of(client, model, version)
    if number is not None:
        client.set_registered_model_alias(model, alias, number)


def number_of(client: "MlflowClient", model: str, version: str) -> str | None:
    """The registry's number of a bundle."""
    versions = client.search_model_versions(f"name = '{model}'")
    return next((str(one.version) for one in versions if one.tags.get(_BUNDLE) == version), None)


def _make_sure_of(client: "MlflowClient", model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model, description="Classifies images; bundles of Espalier's studies.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def save_model(bundle: RegisteredBundle, folder: Path) -> None:
    """MLflow's form of the model: `mlflow models serve` and `mlflow.pyfunc.load_model` take it."""
    from importlib.metadata import version

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, about forms of models that this is none of
        import mlflow.onnx
        import mlflow.pyfunc
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, *bundle.image_shape), "images")
    probabilities = TensorSpec(np.dtype(np.float32), (-1, bundle.num_classes), "probabilities")
    mlflow.onnx.save_model(
        onnx.load(bundle.model_file),
        str(folder),
        pip_requirements=[f"{name}=={version(name)}" for name in _PINNED],
        signature=ModelSignature(Schema([images]), Schema([probabilities])),
        input_example={"images": np.zeros((1, *bundle.image_shape), dtype=np.uint8)},
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
