"""A folder with a subfolder of pictures for each class, a study on it, and its bundle asked about new pictures.

    python examples/folder_of_images.py [KEY=VALUE …]

The pictures are drawn here, so that the example needs none of yours. With so few of them nothing is searched: one model
is trained. What it writes lies under ESPALIER_HOME, or in a temporary folder where that is not set.
"""

import json
import os
import random
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from flows.experiment import experiment
from modules.deployment.bundles import load

SHAPES = ("circle", "square", "triangle")
SIZE = 24  # pixels


def draw(shape: str, chance: random.Random) -> Image.Image:
    """A shape somewhere, of some size and brightness."""
    radius = chance.uniform(5, 8)
    x, y = (chance.uniform(radius + 1, SIZE - radius - 1) for _ in "xy")
    picture = Image.frombytes("L", (SIZE, SIZE), chance.randbytes(SIZE * SIZE)).point(lambda shade: shade // 3)
    pen, brightness = ImageDraw.Draw(picture), chance.randrange(170, 256)
    if shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=brightness)
    else:
        sides, turn = {"square": 4, "triangle": 3}[shape], chance.uniform(0, 360)
        pen.regular_polygon((x, y, radius), sides, rotation=turn, fill=brightness)
    return picture


def main(overrides: list[str]) -> None:
    """Draw, run, predict."""
    home = Path(os.environ.setdefault("ESPALIER_HOME", tempfile.mkdtemp(prefix="espalier-")))
    chance, photos = random.Random(0), Path(tempfile.mkdtemp(prefix="shapes-"))
    for shape in SHAPES:
        (photos / shape).mkdir()
        for number in range(120):
            draw(shape, chance).save(photos / shape / f"{number}.png")
    path = experiment(["data=folder", f"data.root={photos}", "study=shapes", "fresh=true", *overrides])
    summary = json.loads(path.read_text())
    print(f"{summary['champion']['test_error']:.2%} of the test images wrong")
    for shape in SHAPES:
        draw(shape, chance).save(photos / f"new-{shape}.png")
    said = load(home / summary["bundle"]).predict_files([photos / f"new-{shape}.png" for shape in SHAPES])
    print(f"drawn: {', '.join(SHAPES)}; the model says: {', '.join(said.classes)}")


if __name__ == "__main__":
    main(sys.argv[1:])
