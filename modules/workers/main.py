"""The worker process: reads one JSON request a line, answers with JSON lines, ends when its parent has gone.

Its answers go to what was its standard output; everything else that anything prints goes to its standard error, which
the parent keeps as a log.
"""

import contextlib
import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from typing import Any, TextIO

from modules.errors import UserError
from modules.workers.jobs import find_job
from modules.workers.memory import ran_out


def main() -> None:
    """Serve requests until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    while True:
        _answer(requests.get(), answers)


def _read_requests(requests: "queue.Queue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)  # the parent has gone, perhaps in the middle of a training: nobody waits for it


def _answer(request: dict[str, Any], answers: TextIO) -> None:
    def send(kind: str, value: Any) -> None:
        answers.write(json.dumps({kind: value}) + "\n")
        answers.flush()

    if "import" in request:
        with contextlib.suppress(Exception):  # nobody waits for an answer; a job that needs it will fail and say so
            importlib.import_module(request["import"])
        return
    try:
        run = find_job(request["job"])
        send("result", run(**request["arguments"], report=lambda progress: send("progress", progress)))
    except UserError as error:
        send("user_error", {"kind": type(error).__name__, "message": str(error)})
    except Exception as error:
        traceback.print_exc()
        said = {"kind": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
        send("out_of_memory" if ran_out(error) else "error", said)


if __name__ == "__main__":
    main()
