import math

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tiny_study import tiny_architecture

from modules.architecture.description import Architecture
from modules.architecture.module import build_module
from modules.architecture.nodes import Activation, Conv, Dense, Flatten, Norm
from modules.parts import CONF
from modules.records import Part
from modules.training.optimizer import build_optimizer, hidden_matrices
from modules.training.optimizers.muon import Muon, orthogonalised
from modules.training.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from modules.training.states import collect_state, read_state, restore_optimizer, section, write_state

NAMES = sorted(path.stem for path in CONF.glob("optimizer/*.yaml"))
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
OURS = ("default_learning_rate", "default_batch_size", "_target_", "_schema_")


def yaml(name):
    return OmegaConf.to_container(OmegaConf.load(CONF / "optimizer" / f"{name}.yaml"))


def part(name):
    node = yaml(name)
    return Part(target=node["_target_"], arguments={key: node[key] for key in node if key not in OURS})


def architecture():
    """With what is tall, what is wide and what is grouped between the first and the last layer."""
    nodes = (
        Conv(name="conv1", inputs=("input",), channels=4, kernel=3, padding=1, bias=False),
        Norm(name="norm1", inputs=("conv1",)),
        Activation(name="act1", inputs=("norm1",)),
        Conv(name="conv2", inputs=("act1",), channels=6, kernel=3, stride=2, padding=1),
        Norm(name="norm2", inputs=("conv2",)),
        Activation(name="act2", inputs=("norm2",)),
        Conv(name="conv3", inputs=("act2",), channels=6, kernel=3, groups=6),
        Conv(name="conv4", inputs=("conv3",), channels=12, kernel=1, bias=False),
        Norm(name="norm3", inputs=("conv4",)),
        Activation(name="act3", inputs=("norm3",)),
        Flatten(name="flatten1", inputs=("act3",)),
        Dense(name="dense1", inputs=("flatten1",), units=8),
        Dense(name="dense2", inputs=("dense1",), units=3),
    )
    return Architecture(image_shape=(1, 8, 8), num_classes=3, nodes=nodes)


def network_of(layout=torch.contiguous_format):
    generator = torch.Generator().manual_seed(0)
    network = build_module(architecture()).to(memory_format=layout)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, -0.4, 0.4, generator)
    return network


def train(network, optimizer, numbers):
    """Steps on stripes that lie, stand or are not there; the losses."""
    losses = []
    labels = torch.arange(24) % 3
    for number in numbers:
        images = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(number))
        images[labels == 0, :, ::2] += 1
        images[labels == 1, :, :, ::2] += 1
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def set_rate(optimizer, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", NAMES)
def test_yamls_say_what_they_are_and_where_they_start(name):
    node = yaml(name)
    assert (CONF / "optimizer" / f"{name}.yaml").read_text().startswith("# ")
    assert 0 < node["default_learning_rate"] <= 1
    assert node["default_batch_size"] == {"gradient_descent": "all", "single_sample_sgd": 1}.get(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_and_only_tensors_are_kept(name):
    network = network_of()
    optimizer = build_optimizer(part(name), network)
    set_rate(optimizer, yaml(name)["default_learning_rate"])
    losses = train(network, optimizer, range(60))
    assert np.mean(losses[-5:]) < 0.9 * losses[0]  # the rate for single samples is a small one
    assert all(isinstance(value, torch.Tensor) for slots in optimizer.state.values() for value in slots.values())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_training_goes_on_to_the_same_bits(name, layout, tmp_path):
    network = network_of(LAYOUTS[layout])
    optimizer = build_optimizer(part(name), network)
    train(network, optimizer, range(3))
    write_state(tmp_path / "state.safetensors", collect_state(network, network, optimizer))
    set_rate(optimizer, 3e-4)
    train(network, optimizer, range(3, 7))

    state = read_state(tmp_path / "state.safetensors")
    again = build_module(architecture())
    again.load_state_dict(section(state, "model"))
    again.to(memory_format=LAYOUTS[layout])
    its_optimizer = build_optimizer(part(name), again)
    restore_optimizer(state, again, its_optimizer)
    set_rate(its_optimizer, 3e-4)
    train(again, its_optimizer, range(3, 7))
    assert same(collect_state(again, again, its_optimizer), collect_state(network, network, optimizer))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["adagrad", "adam", "adamw"])
def test_fused_steps_are_the_plain_ones(name, layout):
    network, plain = network_of(LAYOUTS[layout]), network_of(LAYOUTS[layout])
    fused_optimizer, plain_optimizer = build_optimizer(part(name), network), build_optimizer(part(name), plain)
    assert all(group["fused"] for group in fused_optimizer.param_groups)
    for group in plain_optimizer.param_groups:
        group["fused"] = False
    for number in range(5):
        train(network, fused_optimizer, [number])
        for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
            theirs.grad = ours.grad
        plain_optimizer.step()
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_only_weights_are_decayed(name):
    network = network_of()
    arguments = {**part(name).arguments, "weight_decay": 0.3}
    optimizer = build_optimizer(part(name).updated(arguments=arguments), network)
    decays = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    expected = {id(each): 0.3 if each.ndim > 1 else 0.0 for each in network.parameters()}
    assert decays == expected


def test_hidden_matrices_are_those_between_the_first_and_the_last_layer():
    network = network_of()
    names = [name for name, each in network.named_parameters() if any(each is one for one in hidden_matrices(network))]
    assert names == ["conv2.weight", "conv4.weight", "dense1.weight"]
    assert hidden_matrices(build_module(tiny_architecture())) == []


def test_matrices_become_orthogonal():
    generator = torch.Generator().manual_seed(0)
    for shape in [(5, 5), (4, 30), (30, 4)]:
        matrix = torch.randn(shape, generator=generator)
        found = orthogonalised(matrix, 5)
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        values = torch.linalg.svdvals(found)
        assert found.shape == matrix.shape
        assert 0.5 < values.min() <= values.max() < 1.3
        assert torch.nn.functional.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0) > 0.97
    assert not orthogonalised(torch.zeros(3, 4), 5).any()


def steps(optimizer_of, shape, count=6):
    """The parameter after some steps along gradients that depend on it."""
    generator = torch.Generator().manual_seed(1)
    parameter = torch.nn.Parameter(torch.randn(shape, generator=generator))
    target = torch.randn(shape, generator=generator)
    optimizer = optimizer_of(parameter)
    for number in range(count):
        set_rate(optimizer, 0.02 / (1 + number))
        optimizer.zero_grad()
        (parameter - target).pow(2).mul(torch.arange(1, 1 + shape[-1])).sum().backward()
        optimizer.step()
    return parameter.detach()


def muon(hidden, **arguments):
    return lambda parameter: Muon([{"params": [parameter], "hidden": hidden}], lr=0.02, **arguments)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_is_torchs_on_a_matrix(shape, nesterov, monkeypatch):
    def torchs(parameter):
        return torch.optim.Muon([parameter], weight_decay=0.1, nesterov=nesterov, adjust_lr_fn="match_rms_adamw")

    ours = steps(muon(True, weight_decay=0.1, nesterov=nesterov), shape)
    torch.testing.assert_close(ours, steps(torchs, shape), atol=0.02, rtol=0.0)  # torch's own rounds to bfloat16 …
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # … unless it is kept from it
    torch.testing.assert_close(ours, steps(torchs, shape), atol=1e-6, rtol=1e-6)


def test_muon_takes_a_convolution_as_a_matrix():
    flat = steps(muon(True), (6, 4 * 9))
    generator = torch.Generator().manual_seed(1)
    start, target = torch.randn(6, 4 * 9, generator=generator), torch.randn(6, 4 * 9, generator=generator)
    parameter = torch.nn.Parameter(start.view(6, 4, 3, 3).to(memory_format=torch.channels_last))
    optimizer = muon(True)(parameter)
    for number in range(6):
        set_rate(optimizer, 0.02 / (1 + number))
        optimizer.zero_grad()
        (parameter.flatten(1) - target).pow(2).mul(torch.arange(1, 37)).sum().backward()
        optimizer.step()
    torch.testing.assert_close(parameter.detach().flatten(1), flat, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (4, 6)])
def test_what_is_not_hidden_is_adamws(shape):
    ours = steps(muon(False, weight_decay=0.1), shape)
    torchs = steps(lambda parameter: torch.optim.AdamW([parameter], weight_decay=0.1), shape)
    assert torch.equal(ours, torchs)


def test_the_rate_of_what_is_not_hidden_has_a_factor():
    def torchs(parameter):
        optimizer = torch.optim.AdamW([parameter], weight_decay=0.1)
        optimizer.register_step_pre_hook(lambda *_: set_rate(optimizer, optimizer.param_groups[0]["lr"] / 4))
        return optimizer

    ours = steps(muon(False, weight_decay=0.1, adamw_factor=0.25), (4, 6))
    assert torch.equal(ours, steps(torchs, (4, 6)))
    assert torch.equal(steps(muon(True, adamw_factor=0.25), (4, 6)), steps(muon(True), (4, 6)))


def test_a_matrix_that_was_the_first_or_last_starts_without_the_moments_of_that():
    network = network_of()
    optimizer = build_optimizer(part("muon"), network)
    train(network, optimizer, range(2))
    state = collect_state(network, network, optimizer)
    for slot in ("exp_avg", "exp_avg_sq", "step"):
        state[f"optimizer.{slot}.conv2.weight"] = state[f"optimizer.{slot}.conv1.weight"]
    del state["optimizer.momentum_buffer.conv2.weight"]
    again = network_of()
    its_optimizer = build_optimizer(part("muon"), again)
    restore_optimizer(state, again, its_optimizer)
    assert again.conv2.weight not in its_optimizer.state
    assert its_optimizer.state[again.conv4.weight].keys() == {"momentum_buffer"}
    assert its_optimizer.state[again.conv1.weight].keys() == {"exp_avg", "exp_avg_sq", "step"}
    train(again, its_optimizer, range(2, 4))


def slow_schedule_free(start, gradient, rates, beta1, beta2, eps, weight_decay):
    """The paper's equations for one number; rate_t^2 weighs z_t, a falling rate counting as the largest so far."""
    z = x = y = start
    square = weight_sum = largest = 0.0
    for step, rate in enumerate(rates, start=1):
        slope = gradient(y)
        square = beta2 * square + (1 - beta2) * slope**2
        direction = slope / (math.sqrt(square / (1 - beta2**step)) + eps) + weight_decay * y
        largest = max(largest, rate)
        weight_sum += largest**2
        share = largest**2 / weight_sum if weight_sum else 0.0
        z -= rate * direction
        x = (1 - share) * x + share * z
        y = (1 - beta1) * z + beta1 * x
    return y, x


RATES = {
    "warm-up": [0.02 * min(1.0, (1 + number) / 10) for number in range(40)],
    "from nothing to nothing": [0.05 * math.sin(math.pi * number / 39) for number in range(40)],
}


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
@pytest.mark.parametrize(("beta1", "weight_decay"), [(0.9, 0.0), (0.7, 0.2)])
def test_schedule_free_follows_the_papers_equations(rates, beta1, weight_decay):
    targets = [-1.0, 0.5, 3.0]
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0, -0.3], dtype=torch.float64))
    optimizer = ScheduleFreeAdamW([parameter], lr=1.0, beta1=beta1, weight_decay=weight_decay)
    assert torch.equal(optimizer.averaged(parameter), parameter)
    start = parameter.tolist()
    for rate in rates:
        set_rate(optimizer, rate)
        optimizer.zero_grad()
        (parameter - torch.tensor(targets, dtype=torch.float64)).pow(2).sum().backward()
        optimizer.step()
    for place, target in enumerate(targets):
        y, x = slow_schedule_free(
            start[place], lambda at, goal=target: 2 * (at - goal), rates, beta1, 0.999, 1e-8, weight_decay
        )
        assert parameter[place].item() == pytest.approx(y, rel=1e-12)
        assert optimizer.averaged(parameter)[place].item() == pytest.approx(x, rel=1e-12)


def test_schedule_free_converges_at_a_constant_rate_where_its_steps_alone_do_not():
    generator = torch.Generator().manual_seed(0)
    parameter = torch.nn.Parameter(torch.full((50,), 2.0))
    optimizer = ScheduleFreeAdamW([parameter], lr=0.02)
    for _ in range(1500):
        optimizer.zero_grad()
        (parameter * (parameter + torch.randn(50, generator=generator))).sum().backward()  # a noisy 2 y
        optimizer.step()
    assert float(optimizer.averaged(parameter).abs().mean()) < 0.03
    assert float((parameter + optimizer.state[parameter]["offset"]).detach().abs().mean()) > 0.1


def test_what_an_edit_adds_starts_as_its_own_average():
    parameter = torch.nn.Parameter(torch.ones(4))
    optimizer = ScheduleFreeAdamW([parameter], lr=0.1)
    parameter.pow(2).sum().backward()
    for _ in range(3):
        optimizer.step()
    optimizer.state[parameter]["offset"][2:] = 0.0
    assert torch.equal(optimizer.averaged(parameter)[2:], parameter.detach()[2:])
    assert (optimizer.averaged(parameter)[:2] > parameter.detach()[:2]).all()
