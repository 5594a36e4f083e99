import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.architecture.start import first_architecture


@given(
    st.sampled_from([1, 3]),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(2, 200),
    st.integers(1, 10**6),
)
def test_it_suits_every_shape(channels, height, width, classes, images):
    shape = (channels, height, width)
    architecture = first_architecture(shape, classes, images, (0.5,) * channels, (0.2,) * channels)
    assert architecture.image_shape == shape
    assert architecture.params < (250_000 if images < 5_000 else 600_000)
    assert architecture.shapes()["global1"][0] <= (64 if images < 5_000 else 128)


@pytest.mark.parametrize(
    ("shape", "images", "dropout"),
    [((1, 28, 28), 60_000, False), ((1, 8, 8), 1_200, True), ((3, 32, 32), 50_000, False)],
)
def test_it_ends_in_small_planes(shape, images, dropout):
    architecture = first_architecture(shape, 10, images, (0.5,) * shape[0], (0.2,) * shape[0])
    side = architecture.input_shape("global1")[1]
    assert 4 <= side <= 7  # before the pool; unpadded on 7 x 7 it leaves 5 x 5
    assert ("dropout1" in architecture.shapes()) == dropout
