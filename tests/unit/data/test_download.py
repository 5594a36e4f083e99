"""Downloads, from a server on this machine."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.data import known as known_module
from modules.data.download import Remote, fetch
from modules.data.known import read_kmnist
from modules.errors import DataError


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; of files named in `broken` it promises more than it sends."""

    broken: frozenset[str] = frozenset()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        name = self.path.lstrip("/")
        if name not in self.broken:
            super().do_GET()
            return
        content = (Path(self.directory) / name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    folder = tmp_path / "published"
    folder.mkdir()

    def handler(*arguments: object) -> _Handler:
        return _Handler(*arguments, directory=str(folder))  # type: ignore[arg-type]

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = []  # type: ignore[attr-defined]
    server.folder = folder  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


def published(server, **files: bytes) -> Remote:
    for name, content in files.items():
        (server.folder / name).write_bytes(content)
    digests = tuple((name, hashlib.md5(content).hexdigest()) for name, content in files.items())
    return Remote(f"http://127.0.0.1:{server.server_port}/", digests)


def kept(home):
    return sorted(path.name for path in (home / "downloads").rglob("*") if path.is_file())


def test_files_are_fetched_once(server, home, capsys):
    remote = published(server, one=b"1" * 5000, two=b"2" * 100)
    folder = fetch("small", remote)
    assert folder == home / "downloads" / "small"
    assert (folder / "one").read_bytes() == b"1" * 5000
    assert fetch("small", remote) == folder
    assert server.asked == ["/one", "/two"]
    assert "downloading small" in capsys.readouterr().out


def test_a_file_that_was_spoiled_is_fetched_again(server):
    remote = published(server, one=b"1" * 50)
    (fetch("small", remote) / "one").write_bytes(b"spoiled")
    assert (fetch("small", remote) / "one").read_bytes() == b"1" * 50


def test_what_does_not_match_its_digest_is_not_kept(server, home):
    remote = published(server, one=b"right", two=b"right")
    (server.folder / "two").write_bytes(b"wrong")
    with pytest.raises(DataError, match=r"what came for two of small .* nothing was kept: try again, or .* data\.root"):
        fetch("small", remote)
    assert kept(home) == ["one"]


def test_a_download_that_breaks_off(server, home, monkeypatch):
    remote = published(server, one=b"1" * 5000)
    monkeypatch.setattr(_Handler, "broken", frozenset({"one"}))
    with pytest.raises(DataError, match=r"cannot download one of small from http://127.*: the transfer broke off"):
        fetch("small", remote)
    assert kept(home) == []


def test_a_file_that_the_server_does_not_have(server, home):
    remote = published(server, one=b"1")
    (server.folder / "one").unlink()
    with pytest.raises(
        DataError, match=r"the server said 404; allowed is a network .* data\.root=DIR with the files: one"
    ):
        fetch("small", remote)
    assert kept(home) == []


def test_no_network(server):
    remote = published(server, one=b"1")
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"cannot download one of small from http://127.*: no connection"):
        fetch("small", remote)


def test_a_known_set_is_downloaded_only_if_asked_for_and_then_at_hand(server, write_idx, monkeypatch):
    files = {path.name: path.read_bytes() for path in write_idx().iterdir()}
    remote = published(server, **files)
    digests = dict(remote.files)
    mine = known_module._Known(
        "kmnist", tuple("abcdefghij"), remote.address, tuple(digests[file] for file in known_module._FILES)
    )
    monkeypatch.setattr(known_module, "_KMNIST", mine)
    with pytest.raises(DataError, match=r"data=kmnist needs .* say data\.root=DIR, or data\.download=true"):
        read_kmnist().read()
    assert server.asked == []
    assert len(read_kmnist(download=True).read().train_labels) == 200
    asked = len(server.asked)
    assert len(read_kmnist().read().train_labels) == 200
    assert len(server.asked) == asked == 4


def test_what_the_system_has_is_found(write_idx, monkeypatch):
    fashion = known_module._FASHION_MNIST
    there = known_module._Known(fashion.name, fashion.classes, fashion.address, fashion.digests, write_idx())
    monkeypatch.setattr(known_module, "_FASHION_MNIST", there)
    assert len(known_module.read_fashion_mnist().read().train_labels) == 200


@pytest.mark.parametrize("known", [known_module._MNIST, known_module._FASHION_MNIST, known_module._KMNIST])
def test_known_sets_have_ten_classes_and_four_digests(known):
    assert len(set(known.classes)) == 10
    assert [len(digest) for _, digest in known.remote.files] == [32] * 4
