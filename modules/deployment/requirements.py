"""What a bundle's server needs, pinned to what it was checked with: the packages of this environment."""

from importlib.metadata import distribution

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = ("fastapi", "uvicorn", "httptools", "onnxruntime", "orjson", "pillow", "python-multipart", "pyyaml")


def pinned_requirements() -> str:
    """A line for each package and for all that they need."""
    versions: dict[str, str] = {}
    waiting = list(PACKAGES)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in versions:
            found = distribution(name)
            versions[name] = found.version.partition("+")[0]
            required = map(Requirement, found.requires or ())
            waiting += [each.name for each in required if _applies(each.marker)]
    return "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))


def _applies(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate({"extra": ""})
