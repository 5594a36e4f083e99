"""The files of a bundle beside its models: copied, or made from templates."""

import base64
import json
import platform
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modules.deployment.inference import ExportedModel
from modules.deployment.manifest import Manifest
from modules.deployment.requirements import pinned_requirements
from modules.deployment.server.integrity import MANIFEST, SUMS, sha256_of

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE / "templates"
_COPIED = {"serve.py": "serve.py", "install.py": "install.py", "client.py": "client.py"}
_COPIED |= {"test_bundle.py": "tests/test_bundle.py", "dockerignore": ".dockerignore"}
_FILLED = ("config.yaml", "Dockerfile", "compose.yaml", "kubernetes.yaml", "README.md", "MODEL_CARD.md")
_DEPLOYING = ("Dockerfile", ".dockerignore", "compose.yaml", "kubernetes.yaml", "README.md")
_UNLISTED = ("config.yaml", *_DEPLOYING, SUMS)  # what whoever serves it may change, or leave behind
_EXAMPLES = 8


def write_files(bundle: Path, manifest: Manifest, card: Mapping[str, Any]) -> None:
    """Everything but the models; `card` is what MODEL_CARD.md is filled with."""
    shutil.copytree(HERE / "server", bundle / "server", ignore=shutil.ignore_patterns("__pycache__"))
    for name, place in _COPIED.items():
        (bundle / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(TEMPLATES / name, bundle / place)
    (bundle / "requirements.txt").write_text(pinned_requirements())
    (bundle / "tests" / "expected.json").write_text(json.dumps(_examples(bundle / "model.onnx")))
    write_described(bundle, manifest, card)


def write_described(bundle: Path, manifest: Manifest, card: Mapping[str, Any]) -> None:
    """The files that say what the bundle is, and the sums."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    (bundle / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n")
    words = {**card, **_names(manifest)}
    for name in _FILLED:
        (bundle / name).write_text(environment.get_template(name).render(words))
    write_sums(bundle)


def write_sums(bundle: Path) -> None:
    """SHA256SUMS over all files but those that may be changed."""
    paths = sorted(path for path in bundle.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    names = [path.relative_to(bundle).as_posix() for path in paths]
    lines = [f"{sha256_of(bundle / name)}  {name}\n" for name in names if name not in _UNLISTED]
    (bundle / SUMS).write_text("".join(lines))


def _names(manifest: Manifest) -> dict[str, Any]:
    name = re.sub(r"[^a-z0-9]+", "-", manifest.model.lower()).strip("-") or "model"
    height, width, channels = manifest.image_shape
    kept = manifest.int8 is not None and manifest.int8.kept
    return {
        "model": manifest.model,
        "version": manifest.version,
        "name": name[:50],  # of a service: a DNS label
        "image": f"{name}:{manifest.version}",
        "python": ".".join(platform.python_version_tuple()[:2]),
        "shape": f"{height} x {width} pixels, {'grey' if channels == 1 else 'colour'}",
        "int8_share": f"{manifest.int8.size_bytes / manifest.size_bytes:.0%}" if manifest.int8 and kept else None,
    }


def _examples(model: Path) -> dict[str, Any]:
    """Made-up images and the model's answers: the bundle's tests need none of the user's data."""
    exported = ExportedModel(model)
    shape = (_EXAMPLES, *exported.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    probabilities = exported.probabilities(images).astype(float)
    return {
        "shape": shape,
        "images": base64.b64encode(images.tobytes()).decode(),
        "probabilities": [round(each, 8) for each in probabilities.ravel().tolist()],
    }
