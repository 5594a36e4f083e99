"""Bundles of tiny networks in a home of their own, made once, and a server of one of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from deployed import deploy, winner_of
from tiny_study import make_data

from modules.deployment.serving import served


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """Holds data and three bundles: `weak` and `good` differ in their weights, `large` is `good` with more of them."""
    home = tmp_path_factory.mktemp("home")
    make_data(home)
    return home


@pytest.fixture(scope="session")
def weak(home) -> Path:
    return deploy(winner_of(home, "weak"), home)


@pytest.fixture(scope="session")
def good(home) -> Path:
    return deploy(winner_of(home, "good"), home)


@pytest.fixture(scope="session")
def port(good) -> Iterator[int]:
    """Of a server of the good bundle, with limits that are soon reached."""
    limits = {
        "BUNDLE_MAX_BODY_BYTES": "200000",
        "BUNDLE_MAX_IMAGES": "100",
        "BUNDLE_MAX_IMAGE_PIXELS": "1000000",
        "BUNDLE_HEADER_SECONDS": "1",
        "BUNDLE_REQUEST_SECONDS": "1",
    }
    with served(good, limits) as number:
        yield number


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
