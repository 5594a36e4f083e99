"""CIFAR-10's 60,000 colour images of 32 x 32 (Krizhevsky 2009): from image files or from its binary version."""

from pathlib import Path

from modules.data.files import FileSet
from modules.data.folder import check_folder, read_class_folders
from modules.data.images import RawImages
from modules.errors import DataError

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_cifar10(root: str | None = None) -> FileSet | RawImages:
    """The images with the test set that they bring."""
    if not root:
        raise DataError("data=cifar10 needs the folder with its images: say data.root=DIR")
    folder = Path(root).expanduser()
    check_folder(folder, root)
    if not (folder / "train").is_dir() or not (folder / "test").is_dir():
        raise DataError(f"data.root={root} has no folders train and test; both must be there for cifar10")
    parts = {given: folder / given for given in ("train", "test")}
    return read_class_folders(folder, parts, image_size=32, channels=3, classes=_CLASSES)
