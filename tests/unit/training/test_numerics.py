"""What a training computes with: what is asked for, as far as the machine has it."""

import pytest
import torch

from modules.errors import ConfigError
from modules.training.numerics import numerics_of_this_process


@pytest.mark.parametrize(
    ("devices", "wished", "strategy"), [(2, "auto", "ddp"), (2, "ddp", "ddp"), (1, "auto", "auto"), (1, "ddp", "ddp")]
)
def test_a_strategy_is_taken_as_given_and_else_follows_from_the_devices(devices, wished, strategy):
    assert numerics_of_this_process(devices=devices, strategy=wished).strategy == strategy


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("accelerator", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_said_in_one_sentence(no_gpu, accelerator):
    with pytest.raises(ConfigError) as raised:
        numerics_of_this_process(accelerator=accelerator)
    assert str(raised.value) == f"trainer.accelerator={accelerator} is not there; this machine has cpu"


def test_auto_is_a_gpu_where_there_is_one(no_gpu, monkeypatch):
    assert numerics_of_this_process(accelerator="auto").device == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert numerics_of_this_process(accelerator="auto").device == "mps"
    assert numerics_of_this_process(accelerator="cpu").device == "cpu"


@pytest.mark.parametrize(("accelerator", "count"), [("mps", 1), ("cuda", 2)])
def test_more_gpus_than_there_are_are_refused(no_gpu, monkeypatch, accelerator, count):
    gpu = torch.cuda if accelerator == "cuda" else torch.backends.mps
    monkeypatch.setattr(gpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(ConfigError, match=rf"trainer\.devices=3 asks .* allowed are up to {count}$"):
        numerics_of_this_process(accelerator=accelerator, devices=3)
    assert numerics_of_this_process(accelerator=accelerator, devices=count).devices == count
