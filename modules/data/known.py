"""The data sets that are known by name and come as four IDX files: at hand, from Debian, or downloaded if asked for."""

from dataclasses import dataclass
from pathlib import Path

from modules.data.download import Remote, download_folder, fetch
from modules.data.files import check_folder, explained_read_errors
from modules.data.idx import find_pair, read_pair
from modules.data.images import RawImages
from modules.data.packed import PackedSet
from modules.errors import DataError

_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist


@dataclass(frozen=True)
class _Known:
    """A data set: its classes, where its publisher has it, and where a system may have it."""

    name: str
    classes: tuple[str, ...]
    address: str
    digests: tuple[str, ...]  # MD5, of _FILES
    system: Path | None = None

    @property
    def remote(self) -> Remote:
        return Remote(self.address, tuple(zip(_FILES, self.digests, strict=True)))


_MNIST = _Known(
    "mnist",
    tuple("0123456789"),
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)
_FASHION_MNIST = _Known(
    "fashion_mnist",
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    _DEBIAN,
)
_KMNIST = _Known(
    "kmnist",
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
)


def read_mnist(root: str | None = None, download: bool = False) -> PackedSet:
    """MNIST's handwritten digits, 28 x 28 (LeCun, Cortes, Burges 1998)."""
    return _read(_MNIST, root, download)


def read_fashion_mnist(root: str | None = None, download: bool = False) -> PackedSet:
    """Fashion-MNIST's articles, 28 x 28 (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747)."""
    return _read(_FASHION_MNIST, root, download)


def read_kmnist(root: str | None = None, download: bool = False) -> PackedSet:
    """Kuzushiji-MNIST's cursive syllables, 28 x 28 (Clanuwat et al. 2018, arXiv:1812.01718)."""
    return _read(_KMNIST, root, download)


def _read(known: _Known, root: str | None, download: bool) -> PackedSet:
    folder = Path(root).expanduser() if root else _at_hand(known, download)
    with explained_read_errors(folder):
        check_folder(folder, f"the folder with the four IDX files of {known.name}")
        train, test = find_pair(folder, "train"), find_pair(folder, "t10k")
    return PackedSet((*train, *test), lambda: RawImages(*read_pair(*train), known.classes, *read_pair(*test)))


def _at_hand(known: _Known, download: bool) -> Path:
    """Where the files lie if nobody says so."""
    if download:
        return fetch(known.name, known.remote)
    for folder in (download_folder(known.name), known.system):
        if folder is not None and all((folder / file).is_file() for file in _FILES):
            return folder
    raise DataError(
        f"data={known.name} needs the folder with its four IDX files: say data.root=DIR, or data.download=true to "
        f"fetch them from {known.address}"
    )
