"""What a person is told on standard error: a sentence, and of a fault of ours where its log is."""

import os
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path

from modules.errors import UserError


def say(sentence: str) -> None:
    """Say it as this program."""
    print(f"espalier: {sentence}", file=sys.stderr, flush=True)


def report_fault(error: Exception) -> int:
    """Say that the fault is ours and where its log is; the exit code."""
    kind = type(error).__name__
    say(f"internal fault ({kind}: {str(error) or 'no message'}); the log is {_write_log(error)}")
    return 1


def _write_log(error: Exception) -> Path:
    text = f"{shlex.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}"
    name = f"fault-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.log"
    try:
        from modules.config.home import home_folder

        path = home_folder() / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except (OSError, UserError):  # no room or no right there
        path = Path(tempfile.gettempdir()) / f"espalier-{name}"
        path.write_text(text)
    return path
