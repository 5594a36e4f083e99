"""Spaces of hyper-parameters: Hydra's grammar read into plain records, and every wrong one refused in a sentence."""

import pytest
from omegaconf import OmegaConf

from modules.config import Variations, resolve
from modules.config.compose import composed, settings_of
from modules.config.spaces import read_space
from modules.errors import ConfigError
from modules.parts import CONF
from modules.space import Choice, Condition, Real, Space, Whole


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


def parameters(path):
    return read_space(path, CONF).parameters


def refusal(*overrides):
    with pytest.raises(ConfigError) as caught:
        resolve(overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_kind_of_value(written):
    read = parameters(
        written(
            "a: interval(0, 1)\n"
            "b: tag(log, interval(1e-4, 1e-1))\n"
            "c: int(interval(1, 8))\n"
            "d: range(16, 65, 16)\n"
            "e: range(0.1, 0.45, 0.1)\n"
            "f: choice(adamw, 'a, b', true, 3)\n"
            "g: 32,64\n"
        )
    )
    assert read == (
        Real(key="a", low=0.0, high=1.0),
        Real(key="b", low=1e-4, high=1e-1, log=True),
        Whole(key="c", low=1, high=8),
        Whole(key="d", low=16, high=64, step=16),
        Real(key="e", low=0.1, high=0.4, step=0.1),
        Choice(key="f", values=("adamw", "a, b", True, 3)),
        Choice(key="g", values=(32, 64)),
    )


def test_conditions(written):
    path = written(
        "optimizer: choice(adamw, muon, sgd)\n"
        "when:\n"
        "  optimizer=adamw,muon:\n    optimizer.weight_decay: interval(0, 1)\n"
        "  optimizer=sgd:\n    optimizer.weight_decay: interval(0, 0.1)\n"
    )
    _, adaptive, plain = parameters(path)
    assert adaptive.condition == Condition(key="optimizer", values=("adamw", "muon"))
    assert (plain.high, plain.condition.values) == (0.1, ("sgd",))
    space = read_space(path, CONF)
    assert space.contains({"optimizer": "muon", "optimizer.weight_decay": 0.5})
    assert not space.contains({"optimizer": "sgd", "optimizer.weight_decay": 0.5})
    assert not space.contains({"optimizer": "muon"})


@pytest.mark.parametrize("path", sorted((CONF / "space").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_space_that_ships_is_allowed_everywhere(path):
    space = resolve(["search=sweep", f"search.space={path.stem}"]).search.space
    assert Space.model_validate_json(space.model_dump_json()) == space
    assert set(OmegaConf.load(path)) - {"when"} <= set(space.keys)
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training.learning_rate: interval(1, 1)", ["interval(1, 1)", "is empty"]),
        ("training.learning_rate: interval(2, 1)", ["interval(2, 1)", "is empty"]),
        ("training.batch_size: range(8, 8)", ["range(8, 8)", "is empty"]),
        ("training.learning_rate: tag(log, interval(0, 1))", ["runs through zero on a log scale", "above 0"]),
        ("training.learning_rate: tag(log, interval(-1, 1))", ["runs through zero on a log scale"]),
        ("optimizer: choice(adamw)", ["optimizer can only be adamw", "two values or more"]),
        ("optimizer: adamw, adamw", ["optimizer can only be adamw"]),
        ("training.batch_size: 64", ["64, a single value"]),
        ("optimizer: adamw", ["adamw, a single value"]),
        ("training.learning_rat: interval(0.1, 1)", ["unknown key training.learning_rat"]),
        ("optimizer.momentun: interval(0.1, 1)", ["unknown key optimizer.momentun", "allowed: optimizer.betas"]),
        ("budget.minutes: interval(1, 2)", ["budget.minutes", "no search may vary", "training.learning_rate"]),
        ("schedule: choice(linear, cosine)", ["settled before structure is searched", "espalier sweep mine"]),
        ("training.label_smoothing: interval(0, 2)", ["training.label_smoothing=2.0", "below 1"]),
        ("training.batch_size: interval(8, 64)", ["training.batch_size"]),
        ("optimizer: choice(adamw, adamv)", ["optimizer", "adamv", "did you mean"]),
        ("training.learning_rate: tag(lin, interval(1, 2))", ["has the tag lin"]),
        ("training.learning_rate: interval(1", ["cannot read"]),
        ("- 1", ["must be a mapping"]),
        ("3", ["search.space=", "no yaml that can be read", "int"]),
        ("{}", ["varies nothing"]),
        ("a: [1", ["no yaml that can be read"]),
        ("optimizer: choice(adamw, sgd)\nwhen: 3", ["when must hold conditions"]),
        ("when:\n  optimizer=adamw:\n    optimizer.eps: interval(0.1, 0.2)", ["depends on optimizer", "none of this"]),
        (
            "optimizer: choice(adamw, sgd)\nwhen:\n  optimizer=muon:\n    optimizer.weight_decay: interval(0, 1)",
            ["muon", "allowed: adamw, sgd"],
        ),
        (
            "optimizer: choice(adamw, sgd)\noptimizer.weight_decay: interval(0, 1)\n"
            "when:\n  optimizer=sgd:\n    optimizer.weight_decay: interval(0, 1)",
            ["optimizer.weight_decay is given twice"],
        ),
        ("optimizer: choice(adamw, sgd)\noptimizer.betas: choice(1, 2)", ["optimizer.betas"]),
        ("training.dropout: interval(0, 1)", ["training.dropout=1.0", "below 1"]),
        ("augmentation.strength: interval(-1, 1)", ["augmentation.strength"]),
        (
            "selection: choice(none, prune)",
            ["selection=prune", "found by trainings of its own", "none, random or kept"],
        ),
        (
            "optimizer: choice(adamw, gradient_descent)",
            ["gradient_descent prescribes its batches", "allowed: adagrad, "],
        ),
        ("optimizer: choice(adamw, single_sample_sgd)", ["single_sample_sgd prescribes its batches"]),
        ("augmentation: choice(for_mnist, auto)", ["augmentation=auto", "found by trainings of its own", "strength"]),
    ],
)
def test_a_wrong_space_is_refused_in_a_sentence(written, text, said):
    refused = refusal(f"search.space={written(text)}")
    assert all(part in refused for part in said), refused


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["search.space=recipe", "optimizer=sgd"], ["optimizer=sgd contradicts", "varies optimizer"]),
        (["search.space=recipe", "training.batch_size=3"], ["training.batch_size=3 contradicts"]),
        (["search.space=recipe", "optimizer.betas=[0.9,0.99]"], ["optimizer=muon", "unknown key optimizer.betas: "]),
        (["search.optimizers=3"], ["search.optimizers must be none, all or a list of", "; got 3"]),
        (["search.space=images", "mixing=mixup"], ["mixing=mixup contradicts", "varies mixing"]),
        (["search.space=recip"], ["did you mean recipe"]),
        (["search.space=/nowhere/mine.yaml"], ["/nowhere/mine.yaml", "the path of a yaml"]),
        (["space=recipe"], ["chosen by search.space"]),
        (["search=none", "search.space=recipe"], ["contradicts search=none"]),
        (["search=sweep", "search.space=null"], ["needs a space"]),
        (["search=sweep", "search.generations=3"], ["contradicts search=sweep"]),
        (["search.space=recipe", "search.optimizers=all"], ["contradicts a space that varies the optimizer"]),
        (["search.optimizers=[adamw,sgd]", "budget.trials=30"], ["budget.trials=30 contradicts"]),
        (["search.optimizers=[adamw,adamv]"], ["adamv", "did you mean"]),
        (["search.optimizers=[adamw,gradient_descent]"], ["gradient_descent"]),
    ],
)
def test_contradictions(overrides, said):
    refused = refusal(*overrides)
    assert all(part in refused for part in said), refused


def test_a_variation_is_what_the_same_overrides_resolve_to():
    values = {
        "optimizer": "muon",
        "schedule": "cosine",
        "schedule.warmup_fraction": 0.25,
        "optimizer.weight_decay": 0.5,
        "training.batch_size": 32,
    }
    for base in ([], ["experiment=accurate"], ["optimizer.weight_decay=0.1"], ["seed=3", "averaging=swa"]):
        typed = [f"{key}={value}" for key, value in values.items()]
        kept = [one for one in base if one.split("=")[0] not in values]
        resolved = settings_of(composed([*kept, *typed], CONF))
        assert Variations(base).settings(values).content == resolved.content


def test_the_point_of_the_configuration():
    space = resolve(["search=sweep"]).search.space
    known = {"training.learning_rate": 0.013, "training.batch_size": 64}
    known |= {"training.dropout": 0.1, "training.label_smoothing": 0.0}
    point = Variations(["search=sweep"]).point(space, known)
    assert space.contains(point)
    assert (point["optimizer"], point["schedule"], point["optimizer.weight_decay"]) == ("adamw", "one_cycle", 0.01)
    assert (point["training.dropout"], point["augmentation.strength"]) == (0.1, 1.0)
    assert Variations(["search=sweep", "optimizer=muon"]).point(space, known)["optimizer"] == "muon"
    assert Variations(["search=sweep", "optimizer=sgd"]).point(space, known) is None


def test_the_spaces_that_ship_vary_what_a_person_expects():
    varied = {
        key
        for name in ("training", "images")
        for key in resolve([f"search.space={name}", "search=sweep"]).search.space.keys
    }
    assert varied >= {
        "training.learning_rate",
        "schedule",
        "schedule.final_factor",
        "schedule.warmup_fraction",
        "training.batch_size",
        "optimizer.weight_decay",
        "training.label_smoothing",
        "training.dropout",
        "augmentation.strength",
        "selection.fraction",
    }


def test_a_found_policy_can_be_varied_in_strength(written):
    space = written("augmentation.strength: interval(0, 2)")
    assert resolve([f"search.space={space}", "augmentation=auto"]).search.space is not None


def test_a_file_is_another_space_than_the_one_of_its_name_wherever_it_is_named_from(tmp_path, monkeypatch):
    text = (CONF / "space" / "recipe.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    ours, theirs = (resolve(["search=sweep", f"search.space={name}"]) for name in ("recipe", "recipe.yaml"))
    assert ours.study_name != theirs.study_name
    whole = resolve(["search=sweep", f"search.space={tmp_path / 'recipe.yaml'}"])
    assert whole.study_name == theirs.study_name
    assert ours.search.space.parameters == theirs.search.space.parameters


def test_a_changed_space_leaves_the_study_its_name(written):
    one = resolve(["search=sweep", f"search.space={written('training.label_smoothing: interval(0, 0.2)')}"])
    other = resolve(["search=sweep", f"search.space={written('training.label_smoothing: interval(0, 0.1)')}"])
    assert one.study_name == other.study_name
    assert one.content != other.content
    (difference,) = other.search.space.differences(one.search.space)
    assert difference == "training.label_smoothing was 0 to 0.2, now it is 0 to 0.1"
