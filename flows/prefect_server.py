"""Prefect's API and UI on a listening socket that the watchdog has opened. Run by path, as a process of its own.

python -P flows/prefect_server.py DESCRIPTOR     the environment says for which home
"""

import gc
import os
import signal
import socket
import sys
import threading


def serve(descriptor: int) -> None:
    """Serve until a SIGTERM, or until standard input ends because the watchdog has died."""
    gc.disable()  # thousands of models are built while importing, all of them to stay
    threading.Thread(target=_end_with_watchdog, daemon=True).start()
    listener = socket.socket(fileno=descriptor)
    os.environ["PREFECT_SERVER_UI_API_URL"] = f"http://127.0.0.1:{listener.getsockname()[1]}/api"  # for the browser
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(create_app(final=True), log_config=None, access_log=False, timeout_graceful_shutdown=2)
    gc.freeze()
    gc.enable()
    uvicorn.Server(config).run(sockets=[listener])


def _end_with_watchdog() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
