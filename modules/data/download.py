"""Fetching the files of a known data set: only when asked for, checked against their published digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.config.home import home_folder
from modules.errors import DataError
from modules.store import explained_write_errors

_SECONDS = 30  # without a byte


@dataclass(frozen=True)
class Remote:
    """Files under an address, each with the MD5 that its publisher gives."""

    address: str
    files: tuple[tuple[str, str], ...]


def download_folder(name: str) -> Path:
    """Where the downloaded files of a data set lie."""
    return home_folder() / "downloads" / name


def fetch(name: str, remote: Remote) -> Path:
    """Download what is not there yet; DataError where the network or a digest fails. What is there is whole."""
    import pooch
    import requests

    folder = download_folder(name)
    with explained_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        downloader = pooch.HTTPDownloader(progressbar=_Progress(name), timeout=_SECONDS)
        pooch.get_logger().setLevel("ERROR")
        for file, md5 in remote.files:
            try:
                pooch.retrieve(f"{remote.address}{file}", f"md5:{md5}", file, folder, downloader=downloader)
            except requests.exceptions.RequestException as error:
                raise DataError(
                    f"cannot download {file} of {name} from {remote.address}: {_why(error)}; allowed is a network "
                    f"that reaches it, or data.root=DIR with the files: {_listed(remote.files)}"
                ) from error
            except ValueError as error:  # the digest; pooch has deleted what came
                raise DataError(
                    f"what came for {file} of {name} from {remote.address} is not the published file (its MD5 differs "
                    f"from {md5}); nothing was kept: try again, or give the files with data.root=DIR"
                ) from error
    return folder


def _listed(files: Sequence[tuple[str, str]]) -> str:
    return ", ".join(file for file, _ in files)


def _why(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server said {response.status_code}"
    kind = type(error).__name__
    return {
        "ConnectionError": "no connection",
        "ProxyError": "no connection",
        "ReadTimeout": "no answer",
        "ConnectTimeout": "no answer",
    }.get(kind, f"the transfer broke off ({kind})")


class _Progress:
    """The lines that pooch's downloads say: one at each fifth."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0
        self._done = 0
        self._said = 0

    def update(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        fifth = 5 * self._done // self.total if self.total else 0
        if fifth > self._said:
            self._said = fifth
            print(f"downloading {self.name}: {self._done / 1e6:,.1f} of {self.total / 1e6:,.1f} MB", flush=True)

    def reset(self) -> None:
        """The next file begins."""
        self._done = self._said = 0

    def close(self) -> None:
        """A file is done."""
        self.reset()
