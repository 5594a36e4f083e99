"""Make a small environment for the server: `python install.py FOLDER`, then `FOLDER/bin/python serve.py`.

It holds what requirements.txt pins and no pip; tests of libraries are left out, and only what is used is compiled.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

BUNDLE = Path(__file__).resolve().parent
TESTS = ("tests", "test")  # of libraries, never imported


def main(folder: Path) -> None:
    """Install into a new folder."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-compile", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", "-r", str(BUNDLE / "requirements.txt")], check=True)
    for name in TESTS:
        for path in list(folder.glob(f"lib/python*/site-packages/*/**/{name}")):
            shutil.rmtree(path, ignore_errors=True)
    subprocess.run([str(python), "-c", "import server.app, server.connections"], cwd=BUNDLE, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python install.py FOLDER")
    main(Path(sys.argv[1]))
