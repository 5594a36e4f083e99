import copy

import numpy as np
import pytest
import torch
from tiny_study import tiny_architecture
from torch import nn

from modules.architecture.module import build_module
from modules.randomness import normal
from modules.training.noise_scale import gradient_noise_scale

WIDTH = 12


def drawn(*coordinates, shape) -> torch.Tensor:
    rows, columns = np.arange(shape[0], dtype=np.uint64), np.arange(shape[1], dtype=np.uint64)
    return torch.from_numpy(normal(*coordinates, rows[:, None], columns)).float()


def linear_problem(num_samples: int, noise: float, distance: float, seed: int = 0):
    """A linear model at `distance` from the truth, noisy targets and the noise scale that its gradients have.

    With x standard normal and the loss half the squared error, a sample's gradient is x xᵀΔ - εx, where Δ is the
    distance: its mean is Δ and its covariance (|Δ|² + noise²) 1 + ΔΔᵀ.
    """
    truth = torch.linspace(-1, 1, WIDTH)
    model = nn.Linear(WIDTH, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(truth)
        model.weight[0, 0] += distance
    inputs = drawn("inputs", seed, shape=(num_samples, WIDTH))
    targets = inputs @ truth[:, None] + noise * drawn("noise", seed, shape=(num_samples, 1))
    trace = WIDTH * (distance**2 + noise**2) + distance**2
    return model, inputs, targets, trace / distance**2


def half_square(model):
    return lambda inputs, targets: 0.5 * (model(inputs) - targets).square().mean()


def cross_entropy(network):
    return lambda images, labels: nn.functional.cross_entropy(network(images), labels)


def in_batches(inputs, targets, sizes):
    return list(zip(inputs.split(sizes), targets.split(sizes), strict=True))


@pytest.mark.parametrize(("noise", "distance"), [(0.0, 1.0), (1.0, 1.0), (0.5, 2.0), (3.0, 1.0)])
@pytest.mark.parametrize("sizes", [[16] * 2000, [4, 60] * 500])
def test_the_noise_scale_of_a_linear_model_is_the_known_one(noise, distance, sizes):
    model, inputs, targets, expected = linear_problem(sum(sizes), noise, distance)
    found = gradient_noise_scale(model, in_batches(inputs, targets, sizes), half_square(model))
    assert found == pytest.approx(expected, rel=0.1)


def test_it_is_that_of_the_slow_version():
    model, inputs, targets, _ = linear_problem(60, 1.0, 1.0)
    gradients = []
    for images, labels in in_batches(inputs, targets, [10] * 6):
        model.zero_grad()
        half_square(model)(images, labels).backward()
        gradients.append(model.weight.grad.numpy().ravel().astype(np.float64))
    trace = 10 * np.trace(np.cov(np.stack(gradients), rowvar=False))
    squared_norm = (np.mean(gradients, axis=0) ** 2).sum() - trace / 60
    found = gradient_noise_scale(model, in_batches(inputs, targets, [10] * 6), half_square(model))
    assert found == pytest.approx(trace / squared_norm, rel=1e-5)


def test_gradients_that_are_all_noise_have_no_noise_scale():
    """Where the mean gradient is nought, the estimate of its square is negative as often as not."""
    found = []
    for seed in range(20):
        model, inputs, targets, _ = linear_problem(40, 1.0, 1.0, seed)
        with torch.no_grad():
            model.weight[0, 0] -= 1.0
        found.append(gradient_noise_scale(model, in_batches(inputs, targets, [4] * 10), half_square(model)))
    assert 3 <= found.count(None) <= 17
    assert all(each > 0 for each in found if each is not None)


def test_one_batch_or_a_loss_that_is_not_finite_says_nothing():
    model, inputs, targets, _ = linear_problem(20, 1.0, 1.0)
    assert gradient_noise_scale(model, [], half_square(model)) is None
    assert gradient_noise_scale(model, [(inputs, targets)], half_square(model)) is None
    for value in (torch.nan, torch.inf):
        broken = in_batches(inputs * value, targets, [10, 10])
        assert gradient_noise_scale(model, broken, half_square(model)) is None


def test_gradients_that_are_all_alike_have_no_noise():
    model, inputs, targets, _ = linear_problem(8, 1.0, 1.0)
    assert gradient_noise_scale(model, [(inputs, targets)] * 4, half_square(model)) == pytest.approx(0.0, abs=1e-6)


def torchs_network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(144, 3)
    )


def our_network():
    return build_module(tiny_architecture()).to(memory_format=torch.channels_last)


@pytest.fixture(params=[torchs_network, our_network])
def network(request):
    """With gradients, statistics, dropout, a bias that does not learn and a layer that is frozen."""
    torch.manual_seed(3)
    network = request.param()
    cross_entropy(network)(torch.rand(8, 1, 8, 8), torch.arange(8) % 3).backward()
    next(parameter for parameter in network.parameters() if parameter.ndim == 1).requires_grad_(False)
    list(network.children())[-1].eval()
    return network


def some_batches():
    images = drawn("images", shape=(30, 64)).view(30, 1, 8, 8)
    return in_batches(images, torch.arange(30) % 3, [10, 10, 10])


def everything(network):
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradients = {name: copy.deepcopy(parameter.grad) for name, parameter in network.named_parameters()}
    modes = [module.training for module in network.modules()]
    places = [tensor.data_ptr() for tensor in network.state_dict().values()]
    return tensors, gradients, modes, places, torch.get_rng_state()


def assert_untouched(network, before):
    after = everything(network)
    for ours, theirs in zip(before[:2], after[:2], strict=True):
        assert ours.keys() == theirs.keys()
        assert all(ours[name] is theirs[name] is None or torch.equal(ours[name], theirs[name]) for name in ours)
    assert before[2:4] == after[2:4]
    assert torch.equal(before[4], after[4])


def test_it_leaves_no_trace(network):
    before = everything(network)
    assert gradient_noise_scale(network, some_batches(), cross_entropy(network)) is not None
    assert_untouched(network, before)


def test_it_leaves_no_trace_where_it_fails(network):
    before = everything(network)
    coloured = (torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(RuntimeError):
        gradient_noise_scale(network, [*some_batches(), coloured], cross_entropy(network))
    assert_untouched(network, before)


def test_it_follows_from_its_arguments_alone_dropout_included(network):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with torch.no_grad():
            found.append(gradient_noise_scale(network, some_batches(), cross_entropy(network)))
    assert found[0] == found[1]
