import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.architecture.initialisation.orthogonal import Orthogonal


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 3), st.floats(0.1, 3.0), st.integers(0, 2**63))
def test_rows_or_columns_are_orthogonal_and_as_long_as_the_gain(outputs, inputs, kernel, gain, seed):
    weight = Orthogonal(gain).draw((outputs, inputs, kernel, kernel), seed, "conv1.weight")
    assert weight.shape == (outputs, inputs, kernel, kernel)
    matrix = weight.reshape(outputs, -1)
    products = matrix @ matrix.T if outputs <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(products, gain**2 * np.eye(len(products)), atol=1e-10)


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2)])
def test_all_directions_are_equally_likely(shape):
    """Without the correction of signs, the first entry of a factor would be negative in every matrix."""
    drawn = np.stack([Orthogonal(1.0).draw(shape, seed, "dense1.weight") for seed in range(2000)])
    assert np.abs(drawn.mean(axis=0)).max() < 0.08  # four and a half standard errors
    np.testing.assert_allclose((drawn**2).mean(axis=0), 1 / max(shape), atol=0.04)
    if shape == (2, 2):
        assert 900 < (np.linalg.det(drawn) > 0).sum() < 1100
