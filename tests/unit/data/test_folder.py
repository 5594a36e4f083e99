import errno
import os

import pytest

from modules.data.folder import read_folder
from modules.errors import DataError
from tests.unit.data.pictures import picture, write_pictures


def listed(files):
    return [(file.name, files.classes[file.label], file.given) for file in files.files]


def test_a_class_per_folder(tmp_path):
    write_pictures(tmp_path, {"dog": 1, "cat/indoors": 2})
    assert listed(read_folder(str(tmp_path))) == [
        ("cat/indoors/000.png", "cat", "train"),
        ("cat/indoors/001.png", "cat", "train"),
        ("dog/000.png", "dog", "train"),
    ]


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_parts_of_their_own(tmp_path, validation):
    write_pictures(tmp_path, {"test/a": 1, "train/a": 1, "train/b": 1, f"{validation}/b": 1})
    files = read_folder(str(tmp_path))
    assert [(name, given) for _, name, given in listed(files)] == [
        ("a", "train"),
        ("b", "train"),
        ("b", "validation"),
        ("a", "test"),
    ]


def test_names_with_spaces_dots_and_other_letters(tmp_path):
    names = ["a b.png", "..c..d.png", "größe 猫.PNG", 'it\'s "so".png', "new\nline.png"]
    folder = tmp_path / "Straße mit Bäumen"
    folder.mkdir()
    for name in names:
        picture(0).save(folder / name)
    write_pictures(tmp_path, {"other": 1})
    found = {file.name for file in read_folder(str(tmp_path)).files}
    assert found == {f"Straße mit Bäumen/{name}" for name in names if not name.startswith(".")} | {"other/000.png"}


def test_names_that_are_no_text(tmp_path):
    write_pictures(tmp_path, {"a": 1})
    (tmp_path / "a" / "000.png").rename(os.fsdecode(os.fsencode(tmp_path / "a") + b"/\xff\xfe.png"))
    (file,) = read_folder(str(tmp_path)).files
    assert file.name == "a/\ufffd\ufffd.png"
    assert os.path.exists(file.path)


def test_links_in_a_circle_are_passed_over_and_others_followed(tmp_path):
    write_pictures(tmp_path / "set", {"a/deep": 1, "b": 1})
    write_pictures(tmp_path / "elsewhere", {"more": 2})
    (tmp_path / "set/a/deep/up").symlink_to(tmp_path / "set/a")
    (tmp_path / "set/a/itself").symlink_to(tmp_path / "set/a/itself")
    (tmp_path / "set/a/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "set/b/more").symlink_to(tmp_path / "elsewhere/more")
    (tmp_path / "set/circle").symlink_to(tmp_path / "set/circle")
    files = read_folder(str(tmp_path / "set"))
    assert [name for name, _, _ in listed(files)] == ["a/deep/000.png", "b/000.png", "b/more/000.png", "b/more/001.png"]
    assert dict(files.passed_over) == {
        "a/deep/up": "a link to a folder that it lies in",
        "a/gone.png": "no file",
        "a/itself": "cannot be read: Too many levels of symbolic links",
    }


def test_files_that_are_no_images_are_passed_over_by_name(tmp_path):
    write_pictures(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "notes.txt").write_text("…")
    (tmp_path / "a" / ".DS_Store").write_text("…")
    assert read_folder(str(tmp_path)).passed_over == (("a/notes.txt", "not named as an image"),)


@pytest.mark.parametrize("part", ["", "train/"])
def test_images_beside_the_folders_of_classes_are_passed_over_by_name(tmp_path, part):
    write_pictures(tmp_path, {f"{part}a": 1, f"{part}b": 1})
    for name in {"x.PNG", f"{part}y.png"}:
        picture(0).save(tmp_path / name)
    (tmp_path / "about.txt").write_text("…")
    files = read_folder(str(tmp_path))
    assert [name for name, _, _ in listed(files)] == [f"{part}a/000.png", f"{part}b/000.png"]
    assert dict(files.passed_over) == dict.fromkeys(["x.PNG", f"{part}y.png"], "in no folder of a class")


@pytest.mark.parametrize("locked", ["", "train", "train/a"])
def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch, locked):
    write_pictures(tmp_path, {"train/a": 1, "train/b": 1})
    scan = os.scandir

    def refuse(path):
        if os.fspath(path) == os.fspath(tmp_path / locked):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        DataError, match=rf"{tmp_path / locked} cannot be read: Permission denied; allowed are readable"
    ):
        read_folder(str(tmp_path))


def test_the_fingerprint_knows_what_changed_and_nothing_else(tmp_path):
    root = write_pictures(tmp_path / "one", {"a": 2, "b": 1})
    before = read_folder(str(root)).fingerprint
    assert read_folder(str(root)).fingerprint == before
    assert read_folder(str(root), image_size=8).fingerprint != before
    root.rename(tmp_path / "two")
    assert read_folder(str(tmp_path / "two")).fingerprint == before
    path = tmp_path / "two/a/000.png"
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[-20] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert read_folder(str(tmp_path / "two")).fingerprint != before


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "holds no image in a folder of its class"),
        (["a.png"], "holds no image in a folder of its class; allowed are CLASS/a.jpg"),
        (["train/a/1.png", "people/b/1.png"], "has the folder people beside those of parts"),
        (["train/a.png", "test/b.png"], "holds no image in a folder of its class"),
        (
            ["train/a/1.png", "val/a/1.png", "validation/b/1.png"],
            "has val and validation, which mean the same part, validation; allowed is one folder for each",
        ),
    ],
)
def test_folders_that_are_laid_out_otherwise(tmp_path, made, message):
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(0).save(tmp_path / name)
    with pytest.raises(DataError, match=message):
        read_folder(str(tmp_path))


def test_a_root_that_is_none(tmp_path):
    with pytest.raises(DataError, match=r"say data\.root=DIR"):
        read_folder()
    with pytest.raises(DataError, match="does not exist; it must be a folder with images"):
        read_folder(str(tmp_path / "nowhere"))
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(DataError, match="is not a folder"):
        read_folder(str(tmp_path / "file.txt"))


def test_a_csv_lists_paths_labels_and_parts(tmp_path):
    write_pictures(tmp_path / "set/images", {"x": 3})
    write_pictures(tmp_path / "beside", {"y z": 1})
    table = tmp_path / "set" / "labels.csv"
    rows = ["file;label;split", "images/x/001.png;dog;", "images/x/000.png;cat;train", "images/x/002.png;dog;VAL"]
    table.write_text(
        "\ufeff" + "\n".join([*rows, "../beside/y z/000.png;cat;test", "gone.png;cat;", "circle.png;dog;", ""])
    )
    (tmp_path / "set" / "circle.png").symlink_to("circle.png")
    for root in (tmp_path / "set", table):
        files = read_folder(str(root))
        assert listed(files) == [
            ("images/x/000.png", "cat", "train"),
            ("images/x/001.png", "dog", "train"),
            ("images/x/002.png", "dog", "validation"),
            ("../beside/y z/000.png", "cat", "test"),
        ]
        assert files.passed_over == (
            ("circle.png", "Too many levels of symbolic links"),
            ("gone.png", "No such file or directory"),
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no column path \(its first line: nothing\)"),
        ("a.png,dog\n", r"has no column path \(its first line: a\.png, dog\)"),
        ("path,title\na.png,dog\n", "has no column label"),
        ("path,label\na.png,\n", "line 2: the label is empty"),
        ("path,label\n,dog\n", "line 2: the path is empty"),
        ("path,label,part\na.png,dog,steer\n", "line 2: unknown part 'steer'; allowed: train, validation, test"),
        ("path,label\na.png,dog\n", "lists no file that is there"),
    ],
)
def test_csvs_that_are_otherwise(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_folder(str(tmp_path))


def test_csvs_that_are_no_text_or_several(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"path,label\n\xff\xfe,a\n")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read_folder(str(tmp_path))
    (tmp_path / "b.csv").write_text("path,label\n")
    with pytest.raises(DataError, match=r"several CSVs \(a\.csv, b\.csv\); say which"):
        read_folder(str(tmp_path))
