"""The small tree of errors: what the user did is apart from what we did.

EspalierError
├── UserError         exit 2, one sentence, no traceback
│   ├── ConfigError   a key, a type or a value of the configuration
│   ├── DataError     what was found where the images should be
│   ├── StudyError    a study that is unknown, badly named or already running
│   ├── TrainingError a training that came to nothing or is ruled out
│   ├── HomeError     ESPALIER_HOME cannot be read or written
│   └── DeploymentError  a bundle that cannot be made, found, served or promoted
└── InternalError     exit 1, says where its log is
    ├── EditError     an edit broke its own promise
    │   └── CertificateError  on images its network does not do what was promised
    └── WorkerError   a worker process died or answered nonsense
"""

from collections.abc import Sequence


class EspalierError(Exception):
    """Anything this program raises on purpose."""


class UserError(EspalierError):
    """A wrong input; the message says what was wrong, what came and what is allowed."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration key, type or value that is not allowed."""


class DataError(UserError):
    """Images or labels that cannot be used."""


class StudyError(UserError):
    """A study that is unknown, badly named or already running."""


class TrainingError(UserError):
    """A training that came to nothing, as its loss exploded, or that a limit, its edit or its data rule out."""


class HomeError(UserError):
    """ESPALIER_HOME that cannot be read or written to."""


class DeploymentError(UserError):
    """A bundle that cannot be made, found, served or promoted."""


class InternalError(EspalierError):
    """A fault of ours; the message says where the log is."""

    exit_code = 1


class EditError(InternalError):
    """An edit that broke its own promise."""


class CertificateError(EditError):
    """An edit whose network does not do on images what was promised of it."""


class WorkerError(InternalError):
    """A worker process that died or answered nonsense."""


def did_you_mean(name: str, known: Sequence[str], most: int = 3, cutoff: float = 0.6) -> str:
    """A question about the known names that are most like one that is unknown; empty where none is like it."""
    import difflib

    near = difflib.get_close_matches(name, known, n=most, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}? " if near else ""
