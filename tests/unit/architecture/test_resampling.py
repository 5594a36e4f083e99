import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from modules.architecture.resampling import resampling_matrix


@given(st.integers(1, 40), st.integers(1, 40))
def test_rows_are_shares(source, target):
    shares = resampling_matrix(source, target)
    assert shares.shape == (target, source)
    assert shares.min() >= 0
    np.testing.assert_allclose(shares.sum(1), 1)


@pytest.mark.parametrize(("source", "target"), [(32, 96), (28, 28), (224, 96), (40, 33), (5, 7)])
def test_it_is_torchs_bilinear_interpolation_with_antialiasing(source, target):
    images = torch.rand(2, 3, source, source, dtype=torch.float64)
    matrix = torch.from_numpy(resampling_matrix(source, target))
    expected = F.interpolate(images, size=(target, target), mode="bilinear", antialias=True)
    torch.testing.assert_close(matrix @ images @ matrix.T, expected)
