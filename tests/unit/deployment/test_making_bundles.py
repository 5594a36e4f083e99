import ast
import json
import os
import shutil
import sys

import numpy as np
import pytest
import yaml
from deployed import LIMITS, ask, deploy, winner_of

from modules.deployment.bundle import Bundle, is_whole
from modules.deployment.bundles import find_bundle, load, manifest_of
from modules.deployment.serving import served
from modules.energy.grids import find_grid
from modules.energy.meter import Energy
from modules.energy.summary import energy_summary
from modules.errors import DataError, DeploymentError
from modules.evaluation.outputs import Outputs

SERVER_NEEDS = {"fastapi", "numpy", "onnxruntime", "orjson", "PIL", "starlette", "uvicorn", "yaml"}


def test_it_holds_all_that_is_needed(good):
    files = (path for path in good.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    names = {path.relative_to(good).as_posix() for path in files}  # a server that was tried has left its bytecode
    assert names >= {
        "model.onnx",
        "serve.py",
        "server/app.py",
        "server/page.html",
        "requirements.txt",
        "install.py",
        "Dockerfile",
        ".dockerignore",
        "compose.yaml",
        "kubernetes.yaml",
        "config.yaml",
        "client.py",
        "MODEL_CARD.md",
        "README.md",
        "tests/test_bundle.py",
        "SHA256SUMS",
    }
    listed = {line.split("  ")[1] for line in (good / "SHA256SUMS").read_text().splitlines()}
    deploying = {"Dockerfile", ".dockerignore", "compose.yaml", "kubernetes.yaml", "README.md"}
    assert names - listed == {"SHA256SUMS", "config.yaml", *deploying}
    assert is_whole(good)


def test_it_has_proved_itself(good):
    parity = json.loads((good / "bundle.json").read_text())["parity"]
    assert parity["images"] == 20
    assert 0 <= parity["onnx"] <= 1e-4
    assert 0 <= parity["http"] <= 1e-4
    assert 0 <= parity["http_json"] <= 1e-4


def test_the_same_winner_has_the_same_bundle_which_is_not_made_again(home, good):
    before = (good / "bundle.json").stat().st_mtime_ns
    assert deploy(winner_of(home, "good"), home) == good
    assert (good / "bundle.json").stat().st_mtime_ns == before


def test_other_limits_are_another_version(home, good):
    assert Bundle(**{**LIMITS, "margin": 0.2}).version_of(winner_of(home, "good")) != good.name


def test_a_damaged_bundle_makes_way_for_a_new_one(home):
    bundle = deploy(winner_of(home, "damaged"), home)
    (bundle / "server" / "app.py").write_text("")
    assert not is_whole(bundle)
    assert deploy(winner_of(home, "damaged"), home) == bundle
    assert is_whole(bundle)
    assert len(list(bundle.parent.glob(".damaged-*"))) == 1


def test_one_that_answers_otherwise_is_not_made(home):
    winner = winner_of(home, "liar")
    outputs = Outputs.read(winner.test_outputs)
    outputs.probabilities[7] += 1e-3
    outputs.write(winner.test_outputs)
    with pytest.raises(
        DeploymentError, match=r"ONNX differs from PyTorch by 0\.001 .* test image 7; allowed is 0\.0001"
    ):
        deploy(winner, home)
    assert not (home / "bundles/tiny" / Bundle(**LIMITS).version_of(winner)).exists()
    assert not list((home / "bundles" / "tiny").glob(".making-*"))


def test_the_server_needs_few_packages_and_nothing_of_ours(good):
    imported = set()
    for path in (good / "server").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    assert imported - set(sys.stdlib_module_names) == SERVER_NEEDS


def test_requirements_are_pinned_and_few(good):
    lines = (good / "requirements.txt").read_text().splitlines()
    names = {line.split("==")[0] for line in lines}
    assert all(line.count("==") == 1 for line in lines)
    assert {"fastapi", "onnxruntime", "uvicorn", "httptools", "python-multipart", "pyyaml", "numpy"} <= names
    assert not names & {"torch", "mlflow", "prefect", "hydra-core", "onnx", "espalier", "scipy"}


def test_containers_have_no_rights_that_they_do_not_need(good):
    dockerfile = (good / "Dockerfile").read_text()
    assert "USER 10001:10001" in dockerfile
    assert "HEALTHCHECK" in dockerfile
    compose = yaml.safe_load((good / "compose.yaml").read_text())
    (service,) = compose["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    deployment, network = yaml.safe_load_all((good / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert network["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_it_is_served_from_what_docker_copies_and_under_a_manifest_that_names_a_registry(good, tmp_path):
    ignored = [line.removeprefix("**/") for line in (good / ".dockerignore").read_text().splitlines()]
    image = shutil.copytree(good, tmp_path / "image", ignore=shutil.ignore_patterns(*ignored))
    assert not (image / "kubernetes.yaml").exists()
    edited = shutil.copytree(good, tmp_path / "edited")
    manifest = (edited / "kubernetes.yaml").read_text()
    (edited / "kubernetes.yaml").write_text(manifest.replace("image: ", "image: registry.example/"))
    for bundle in (image, edited):
        with served(bundle) as port:
            assert ask(port, "GET", "/v2/health/ready")[0] == 200
        assert is_whole(bundle)


def test_the_card_says_what_it_is_good_for(good):
    card = (good / "MODEL_CARD.md").read_text()
    for words in ("| test error |", "| standing | 7 |", "Study `good`", "agree on all 20 test images", "## Limits"):
        assert words in card


def test_the_card_and_the_manifest_say_what_energy_it_took(home, good):
    assert "| energy of the study | not known |" in (good / "MODEL_CARD.md").read_text()
    used = Energy(wh=0.0512, processor_seconds=46.0, method="estimate: 4 W a busy core", measured=False)
    energy = energy_summary(used, find_grid("AUT"), latency_ms=0.02)
    bundle = deploy(winner_of(home, "metered").updated(energy=energy, training_wh=0.0061), home)
    card = (bundle / "MODEL_CARD.md").read_text()
    for line in (
        "| energy of the study | ≈ 50 mWh, 0.00",
        "| energy of the last training of these weights | ≈ 6 mWh |",
        "| energy of an image, one thread | ≈ 0.08 mJ |",
        "How the energy is known: estimate: 4 W a busy core.",
    ):
        assert line in card
    assert manifest_of(bundle).energy == energy


def test_it_can_be_used_from_python(good, images):
    loaded = load(good)
    found = loaded.predict(images)
    assert found.probabilities.shape == (5, 3)
    assert found.classes == tuple(loaded.manifest.classes[best] for best in found.probabilities.argmax(1))
    np.testing.assert_array_equal(loaded.predict(images[..., 0]).probabilities, found.probabilities)
    with pytest.raises(DataError, match=r"float64 of shape \(5, 8, 8, 1\); allowed is uint8 of shape \(N, 8, 8, 1\)"):
        loaded.predict(images / 255)


def test_one_of_a_newer_format_is_refused(good, tmp_path):
    copy = shutil.copytree(good, tmp_path / "copy")
    manifest = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(DeploymentError, match="format 2, allowed is up to 1: serve it with the program that made it"):
        load(copy)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.onnx", b"", "was altered: model.onnx"),
        ("server/extra.py", b"", "was altered: server/extra.py is not listed"),
        ("bundle.json", b"{", "cannot be read as the description of a bundle"),
        ("SHA256SUMS", b"0  ../x\n", "has the line"),
        ("SHA256SUMS", b"", "does not list bundle.json"),
    ],
)
def test_one_that_was_altered_is_refused(good, tmp_path, name, content, said):
    copy = shutil.copytree(good, tmp_path / "copy")
    (copy / name).write_bytes(content)
    with pytest.raises(DeploymentError, match=said):
        load(copy)


@pytest.mark.parametrize("name", ["model.onnx", "SHA256SUMS", "bundle.json"])
def test_one_that_lacks_a_file_is_refused(good, tmp_path, name):
    copy = shutil.copytree(good, tmp_path / "copy")
    (copy / name).unlink()
    with pytest.raises(DeploymentError, match=name):
        load(copy)


def test_a_bundle_is_found_by_what_a_person_calls_it(home, good):
    (home / "studies/good/summary.json").write_text(json.dumps({"bundle": f"bundles/tiny/{good.name}"}))
    (home / "studies/liar").mkdir(exist_ok=True)
    (home / "studies/liar/summary.json").write_text(json.dumps({"bundle": None}))
    assert find_bundle(str(good), home) == good
    assert find_bundle(f"tiny/{good.name}", home) == good
    assert find_bundle("good", home) == good
    assert find_bundle("tiny", home).parent == good.parent
    with pytest.raises(DeploymentError, match="study 'liar' has no bundle"):
        find_bundle("liar", home)
    with pytest.raises(DeploymentError, match=r"no bundle 'nothing': .*there are: tiny"):
        find_bundle("nothing", home)


def test_a_model_is_the_bundle_that_was_made_last_whatever_was_installed_into_which_since(tmp_path):
    def made(version, made_at, written):
        folder = tmp_path / "bundles/tiny" / version
        folder.mkdir(parents=True)
        (folder / "bundle.json").write_text(json.dumps({"made_at": made_at} if made_at else {}))
        os.utime(folder / "bundle.json", (written, written))
        return folder

    last = made("last", 2.0, written=5.0)
    for other in (
        made("earlier", 1.0, written=9.0),
        made("of the same model", 2.0, written=4.0),
        made("bad", None, 9.0),
    ):
        (other / ".venv").mkdir()
        os.utime(other, (2e9, 2e9))
    assert find_bundle("tiny", tmp_path) == last
