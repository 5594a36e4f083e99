"""The order in which things are done. Importing it makes sure that `modules` is this program's own."""

import importlib.util
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def _claim(name: str) -> None:
    """Import our package `name` from beside this one, whatever the current folder holds under that name."""
    known = sys.modules.get(name)
    if known is not None:
        if _ROOT / name not in [Path(folder).resolve() for folder in getattr(known, "__path__", [])]:
            raise ImportError(f"a package {name!r} from {known.__file__} is already imported; Espalier needs its own")
        return
    spec = importlib.util.spec_from_file_location(name, _ROOT / name / "__init__.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{_ROOT / name} is not there; the installation is not whole")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_claim("modules")
