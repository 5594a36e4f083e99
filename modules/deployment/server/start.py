"""Starting the server of a bundle."""

import os
import sys
from pathlib import Path

from .errors import StartError
from .integrity import read_manifest

_EXIT_CODE = 2
_DESCRIPTOR = "BUNDLE_SOCKET"  # of a socket that is open already: so another server can take over


def main(bundle: Path) -> int:
    """Check the bundle and serve it until a signal comes; the exit code."""
    try:
        manifest = read_manifest(bundle)
        _serve(bundle, manifest)
    except StartError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return _EXIT_CODE
    return 0


def _serve(bundle: Path, manifest: dict[str, object]) -> None:
    from .app import Service  # after the check: what was altered is not run
    from .connections import Server, open_socket
    from .model import Model
    from .settings import read_settings

    settings = read_settings(bundle)
    if Path(settings.model).name != settings.model:
        raise StartError(f"model must be the name of a file in the bundle; got {settings.model!r}")
    classes = manifest["classes"]
    assert isinstance(classes, list)
    model = Model(bundle / settings.model, classes, settings.threads)
    descriptor = os.environ.get(_DESCRIPTOR)
    try:
        listener = open_socket(settings, int(descriptor) if descriptor else None)
    except OSError as error:
        raise StartError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose another with BUNDLE_PORT"
        ) from None
    service = Service(manifest, model, settings)
    Server(service.front, service.front, settings, listener).serve_until_stopped()
