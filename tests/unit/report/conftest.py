"""A look at images that nobody took."""

import numpy as np
import pytest

from modules.data import load as load_module
from modules.data.images import RawImages
from modules.data.load import load_data
from modules.data.look import look_at
from modules.records import Part
from modules.store import Store


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def look(home, monkeypatch):
    random = np.random.default_rng(0)
    raw = RawImages(
        random.integers(0, 256, (90, 8, 8, 1), dtype=np.uint8),
        np.arange(90) % 3,
        ("<b>bold</b>", "größe 猫", "c"),
        left_out=tuple((f"{number}.png", "it is empty") for number in range(70)),
        sizes=((8, 8), (100, 20), (4000, 3000)),
        notes=("Something to know.",),
    )
    raw.train_images[1] = raw.train_images[0]
    monkeypatch.setattr(load_module, "build", lambda part: raw)
    record = load_data(Part(target="made.up"), "small", (0.2, 0.2, None), 0, home, Store(home / "store"))
    return look_at(home, record)
