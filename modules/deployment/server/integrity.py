"""Whether a bundle is whole: every file that SHA256SUMS lists is as it was made. Needs the standard library alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

from .errors import StartError

FORMAT = 1
SUMS = "SHA256SUMS"
MANIFEST = "bundle.json"


def read_manifest(bundle: Path) -> dict[str, Any]:
    """What bundle.json says, of a bundle that is whole and of a format that this program knows."""
    path = bundle / MANIFEST
    if not path.is_file():
        raise StartError(f"{bundle} is no bundle: there is no {MANIFEST} in it")
    try:
        manifest = json.loads(path.read_bytes())
        found = manifest["format"]
    except (ValueError, KeyError, TypeError):
        raise StartError(f"{path} cannot be read as the description of a bundle; copy the bundle again") from None
    if not isinstance(found, int) or found > FORMAT:
        raise StartError(
            f"bundle {bundle} has format {found}, allowed is up to {FORMAT}: serve it with the program that made it"
        )
    check_sums(bundle)
    assert isinstance(manifest, dict)
    return manifest


def check_sums(bundle: Path) -> None:
    """StartError where a listed file is missing or altered, or where the server has a file that is not listed."""
    listed = read_sums(bundle)
    for name, digest in listed.items():
        path = bundle / name
        if not path.is_file():
            raise StartError(f"bundle {bundle} is incomplete: {name} is missing; copy the bundle again")
        if sha256_of(path) != digest:
            raise StartError(f"bundle {bundle} was altered: {name} is not what {SUMS} says; copy the bundle again")
    for path in (bundle / "server").rglob("*.py"):
        name = path.relative_to(bundle).as_posix()
        if name not in listed:
            raise StartError(f"bundle {bundle} was altered: {name} is not listed in {SUMS}; remove it")


def read_sums(bundle: Path) -> dict[str, str]:
    """The digest of each listed file, by its path in the bundle."""
    path = bundle / SUMS
    if not path.is_file():
        raise StartError(f"bundle {bundle} is incomplete: {SUMS} is missing; copy the bundle again")
    listed = {}
    for line in path.read_text().splitlines():
        digest, _, name = line.partition("  ")
        if not name or ".." in Path(name).parts or Path(name).is_absolute():
            raise StartError(f"bundle {bundle} was altered: {SUMS} has the line {line[:80]!r}; copy the bundle again")
        listed[name] = digest
    if MANIFEST not in listed:
        raise StartError(f"bundle {bundle} was altered: {SUMS} does not list {MANIFEST}; copy the bundle again")
    return listed


def sha256_of(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
