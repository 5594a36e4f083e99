"""A bundle on its own: in a fresh environment with its requirements alone, fuzzed, in a browser, under linters."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import INLINE, Runner

pytestmark = pytest.mark.full

REPOSITORY = Path(__file__).parents[2]
WITH_BUNDLE = [override for override in INLINE if override != "deployment=none"]
SHORT = ("run", *WITH_BUNDLE, "search=none", "training.max_epochs=3", "trainer.threads=1", "study=tiny")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a short study of digits, moved to a folder that has nothing to do with us."""
    runner = Runner(tmp_path_factory.mktemp("study") / "home")
    done = runner.run(*SHORT)
    assert done.returncode == 0, done.stderr
    made = runner.home / runner.summary("tiny")["bundle"]
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("elsewhere") / "bundle"))


@pytest.fixture(scope="module")
def python(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment that the bundle's own installation made."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, str(bundle / "install.py"), str(folder)], check=True, env=plain())
    return folder / "bin" / "python"


def plain(**settings: str) -> dict[str, str]:
    """The environment without what might lead to our own modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings


@contextmanager
def running(python: Path, bundle: Path, **settings: str) -> Iterator[str]:
    """The address of a server of the bundle, run by its own environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = plain(BUNDLE_PORT=str(port), PYTHONDONTWRITEBYTECODE="1", **settings)
    process = subprocess.Popen(
        [str(python), str(bundle / "serve.py")], env=environment, stdout=subprocess.PIPE, text=True, cwd="/"
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "ready"
        process.stdout.close()  # nobody reads its log: it goes on
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0


def test_its_own_tests_pass_in_its_own_environment(bundle: Path, python: Path) -> None:
    command = [str(python), "-W", "error::DeprecationWarning:server", "-m", "unittest", "discover", "tests"]
    done = subprocess.run(command, cwd=bundle, env=plain(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    listed = "import importlib.util as u; print([n for n in ('torch', 'mlflow', 'modules', 'pip') if u.find_spec(n)])"
    found = subprocess.run([str(python), "-c", listed], cwd=bundle, env=plain(), capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_its_client_example_works(bundle: Path, python: Path, tmp_path: Path) -> None:
    with running(python, bundle, BUNDLE_API_KEY="secret") as address:
        command = [sys.executable, str(bundle / "client.py"), address, str(digit(tmp_path))]
        done = subprocess.run(command, env=plain(API_KEY="secret"), capture_output=True, text=True, timeout=60)
        assert done.stdout.startswith(f"{tmp_path}/3.png: "), done.stderr
        refused = subprocess.run(command, env=plain(), capture_output=True, text=True, timeout=60)
        assert refused.stderr.startswith("refused (401): the API key is missing or wrong")


def digit(folder: Path) -> Path:
    """An image of a three."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    path = folder / "3.png"
    Image.fromarray((load_digits().images[3] / 16 * 255).astype(np.uint8)).save(path)
    return path


def test_it_runs_where_nothing_can_be_written_and_as_nobody(bundle: Path, python: Path, tmp_path: Path) -> None:
    """What the Dockerfile asks for, without a container engine: a user without rights, files that stay as they are."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes root")
    if any(path.stat().st_mode & 0o001 == 0 for path in Path(sys.base_prefix).parents):
        pytest.skip(f"other users cannot read the interpreter in {sys.base_prefix}")
    ignored = [line.removeprefix("**/") for line in (bundle / ".dockerignore").read_text().splitlines()]
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle", ignore=shutil.ignore_patterns(*ignored)))
    for path in (tmp_path, *tmp_path.parents, *copy.rglob("*"), *python.parents):
        if path.exists() and path.is_relative_to("/tmp"):
            path.chmod(path.stat().st_mode | 0o555 if path.is_dir() else path.stat().st_mode | 0o444)
    before = sorted((path, path.stat().st_mtime_ns) for path in copy.rglob("*"))
    script = (
        "import os, runpy, sys; os.setgid(10001); os.setuid(10001); "
        f"sys.path.insert(0, {str(copy)!r}); sys.argv = ['serve.py']; "
        f"runpy.run_path({str(copy / 'serve.py')!r}, run_name='__main__')"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = plain(BUNDLE_PORT=str(port), PYTHONDONTWRITEBYTECODE="1", HOME="/nonexistent", TMPDIR="/nonexistent")
    process = subprocess.Popen([str(python), "-c", script], env=environment, stdout=subprocess.PIPE, text=True, cwd="/")
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "ready"
        answer = subprocess.run(
            [sys.executable, str(copy / "client.py"), f"http://127.0.0.1:{port}", str(digit(tmp_path))],
            env=plain(),
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, answer.stderr
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert sorted((path, path.stat().st_mtime_ns) for path in copy.rglob("*")) == before


def test_fuzzing_breaks_neither_the_server_nor_its_description(bundle: Path, python: Path) -> None:
    fuzzer = shutil.which("schemathesis", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if fuzzer is None:
        pytest.skip("schemathesis is not installed: make test-full installs it")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    with running(python, bundle, BUNDLE_LOG_REQUESTS="false") as address:
        command = [fuzzer, "run", f"{address}/openapi.json", "--checks", checks, "--max-examples", "60", "--seed", "1"]
        done = subprocess.run(command, env=plain(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]


def test_its_page_shows_the_classes_of_an_image(bundle: Path, python: Path, tmp_path: Path) -> None:
    """In a real browser, told what to do over its debugging pipe."""
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    from tests.integration.browser import Browser

    with running(python, bundle, BUNDLE_LOG_REQUESTS="false") as address, Browser() as browser:
        browser.open(f"{address}/")
        assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        browser.choose_file("#files", digit(tmp_path))
        shown = browser.wait_for("document.querySelectorAll('article dl .share').length", 5)
        assert shown == 5
        best = browser.evaluate("document.querySelector('article dl .best').textContent")
        assert best in set("0123456789")
        share = browser.evaluate("document.querySelector('article dl .share').textContent")
        assert 0 < float(share.removesuffix(" %")) <= 100
        (tmp_path / "text.png").write_text("no image")
        browser.choose_file("#files", tmp_path / "text.png")
        browser.wait_for("document.querySelectorAll('p.error').length", 1)
        assert "no image that can be read" in browser.evaluate("document.querySelector('p.error').textContent")
        picture = browser.screenshot()
        assert picture.startswith(b"\x89PNG")
        Path(os.environ.get("SCREENSHOTS", tmp_path), "page.png").write_bytes(picture)


def test_linters_have_nothing_to_say(bundle: Path) -> None:
    found = {name: shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") for name in LINTERS}
    if not all(found.values()):
        missing = [name for name, path in found.items() if path is None]
        pytest.skip(f"not installed: {', '.join(missing)}: make test-full installs them")
    for name, arguments in LINTERS.items():
        done = subprocess.run([str(found[name]), *arguments], cwd=bundle, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


LINTERS = {
    "hadolint": ["Dockerfile"],
    "kubernetes-validate": ["--strict", "kubernetes.yaml"],
    "check-jsonschema": ["--builtin-schema", "vendor.compose-spec", "compose.yaml", str(REPOSITORY / "compose.yaml")],
}


def test_it_is_ready_soon(bundle: Path, python: Path) -> None:
    times = []
    for _ in range(3):
        started = time.monotonic()
        with running(python, bundle):
            times.append(time.monotonic() - started)
    assert min(times) < 10  # 2 s on a machine that does nothing else: see benchmarks/bundle.py
