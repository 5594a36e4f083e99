import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.config import Settings, config_text, expand_multirun, home_folder, resolve, resolved_config
from modules.config.checks import check_argument
from modules.config.overrides import check, read
from modules.errors import ConfigError, HomeError
from modules.parts import CONF


@pytest.fixture(scope="module")
def default() -> Settings:
    return resolve()


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_default_study_is_digits_without_a_budget(default):
    assert default.data.name == "digits"
    assert default.optimizer.target == "torch.optim.AdamW"
    assert set(default.budget.model_dump().values()) == {None}
    assert default.search.kind == "edits"
    asked_for = [path for path in CONF.glob("edit/*.yaml") if path.stem.startswith("placebo_")]
    of_contests = ["change_recipe"]
    assert len(default.search.edits) == len([*CONF.glob("edit/*.yaml")]) - len(asked_for) - len(of_contests)


def test_a_file_of_corrections_is_the_same_from_any_folder(default):
    assert default.data.corrections is None
    assert resolve(["data.corrections=a.csv"]).data.corrections == str(Path("a.csv").absolute())
    assert resolve(["data.corrections=2026"]).data.corrections == str(Path("2026").absolute())


def test_a_selection_that_has_to_be_found_is_a_part_like_any_other():
    assert resolve(["selection=clean", "selection.folds=5"]).selection.arguments["folds"] == 5
    assert "unknown key selection.fold" in refusal("selection=clean", "selection.fold=5")
    assert resolve(["balance=weights", "balance.power=0.5"]).balance.arguments == {"power": 0.5}
    assert resolve().balance is None


def test_settings_survive_json(default):
    assert Settings.model_validate_json(default.model_dump_json()) == default


def test_settings_are_frozen(default):
    with pytest.raises(ValueError, match="frozen"):
        default.seed = 3


def test_the_optimizers_own_rate_is_the_one_where_none_is_found():
    assert resolve(["optimizer=sgd"]).training.default_learning_rate == 0.1
    assert resolve(["optimizer=sgd", "training.learning_rate=0.2"]).training.learning_rate == 0.2


def test_null_batch_size_is_the_optimizers_own(default):
    assert default.training.batch_size is None
    assert resolve(["optimizer=single_sample_sgd"]).training.batch_size == 1
    assert resolve(["optimizer=gradient_descent"]).training.batch_size == "all"
    assert resolve(["optimizer=gradient_descent", "training.batch_size=64"]).training.batch_size == 64
    assert resolve(["training.batch_size=all"]).training.batch_size == "all"


def test_parts_carry_no_schemas_and_no_settings_of_ours(default):
    assert set(resolve(["optimizer=adamw"]).optimizer.arguments) == {"betas", "eps", "weight_decay"}
    assert "_schema_" not in default.model_dump_json()
    assert "_schema_" not in config_text()


def test_augmentation_follows_the_data():
    names = [part.name for part in resolve(["data=fashion_mnist"]).augmentation.transforms]
    assert "Flip" in names
    assert "Flip" not in [part.name for part in resolve(["data=mnist"]).augmentation.transforms]


def test_transforms_can_be_chosen_changed_and_taken_out():
    chosen = resolve(
        ["augmentation=[shift,flip]", "augmentation.transforms.shift.max_pixels=1"]
    ).augmentation.transforms
    assert [part.name for part in chosen] == ["Shift", "Flip"]
    assert chosen[0].arguments["max_pixels"] == 1
    rest = resolve(["augmentation=[shift,flip]", "~augmentation.transforms.shift"]).augmentation.transforms
    assert [part.name for part in rest] == ["Flip"]
    assert resolve(["augmentation=none"]).augmentation.transforms == ()


def test_a_policy_is_found_from_what_the_yamls_say_to_try():
    found = resolve(["augmentation=auto"]).augmentation
    assert found.transforms == ()
    names = [part.name for part in found.candidates]
    assert {"Flip", "Rotate", "Shift", "Scale", "Shear", "Crop", "Erase", "Blur", "Noise", "Contrast"} <= set(names)
    assert [part.arguments["direction"] for part in found.candidates if part.name == "Flip"] == [
        "horizontal",
        "vertical",
    ]
    assert len({part.content_digest for part in found.candidates}) == len(names)
    few = resolve(["augmentation=auto", "augmentation.candidates=[rotate,colour]"]).augmentation.candidates
    assert {part.name for part in few} == {"Rotate", "Colour"}
    assert few == tuple(part for part in (*few[:5], *found.candidates) if part in few)[: len(few)]
    assert resolve(["augmentation=for_mnist"]).augmentation.candidates == ()


def test_edits_can_be_chosen():
    chosen = resolve(["search.edits=[widen_layer,add_layer]"]).search.edits
    assert [part.name for part in chosen] == ["WidenLayer", "AddLayer"]
    assert resolve(["search.edits=add_layer"]).search.edits == (chosen[1],)


def test_placebos_are_there_only_where_they_are_named():
    assert not [edit.name for edit in resolve(["search.edits=all"]).search.edits if "Placebo" in edit.name]
    (placebo,) = resolve(["search.edits=[placebo_permute]"]).search.edits
    assert placebo.name == "PlaceboPermute"


def test_classic_preset_is_the_classic_recipe():
    classic = resolve(["experiment=classic_cnn"])
    training = classic.training
    assert classic.model.name == "classic_architecture"
    assert classic.optimizer.target == "torch.optim.SGD"
    assert classic.optimizer.arguments == {"momentum": 0.9, "weight_decay": 0.0}
    assert classic.schedule.name == "TimeBased"
    assert classic.schedule.arguments == {"decay": 1e-6, "reading": "closed", "warmup_fraction": 0.0}
    assert (classic.batching.name, classic.averaging.name, classic.mixing) == ("Fixed", "NoAverage", None)
    assert (training.learning_rate, training.batch_size, training.max_epochs, training.patience) == (0.01, 32, 20, 5)
    assert classic.search.kind == "none"
    assert classic.augmentation.transforms == ()


def test_a_part_of_a_preset_can_be_changed():
    changed = resolve(["experiment=classic_cnn", "optimizer=adamw", "training.batch_size=64"])
    assert changed.optimizer.target == "torch.optim.AdamW"
    assert changed.training.batch_size == 64


def test_a_folder_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/her")
    for typed, meant in [
        ("images", tmp_path / "images"),
        ("~/photos", "/home/her/photos"),
        ("/a b/jörg", "/a b/jörg"),
        ("/a=b", "/a=b"),
        ("2026", tmp_path / "2026"),
    ]:
        assert resolve(["data=mnist", f"data.root={typed}"]).data.reader.arguments["root"] == str(meant)


def test_the_study_is_named_by_what_its_results_depend_on(default):
    assert default.study_name == f"digits-{default.digest[:8]}"
    for incidental in (
        "orchestrator=inline",
        "fresh=true",
        "tracking.enabled=false",
        "trainer.worker_timeout_minutes=9",
    ):
        assert resolve([incidental]).study_name == default.study_name
    assert len({resolve([change]).study_name for change in ("seed=1", "seed=2", "training.batch_size=7")}) == 3
    assert resolve(["study=mine"]).study_name == "mine"
    assert resolve(["study=2026"]).study_name == "2026"
    assert resolve(["study=mine"]).digest == default.digest


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["training.learning_rat=3"],
            ["training.learning_rat", "did you mean training.learning_rate", "training.patience"],
        ),
        (["foo=3"], ["unknown key foo", "allowed: ", "training"]),
        (["training={batch_siz: 3}"], ["unknown key training.batch_siz", "training.batch_size"]),
        (["optimizer=adamw", "optimizer.momentum=0.9"], ["unknown key optimizer.momentum", "optimizer.weight_decay"]),
        (["data.split_seed.x=3"], ["data.split_seed", "no keys of its own"]),
        (["~augmentation.transforms.rotat"], ["did you mean augmentation.transforms.rotate"]),
        (["optimizer=adan"], ["optimizer: adan", "did you mean adam or nadam?", "momentum, muon"]),
        (["data=cifar"], ["data: cifar", "fashion_mnist, folder, idx, kmnist, mnist"]),
        (["runner=spark"], ["runner: spark", "dask, processes, ray, serial"]),
        (["objective=paretto"], ["objective: paretto", "accuracy, balanced_accuracy, pareto"]),
        (["objective.max_bytes=3"], ["objective.max_bytes", "objective.max_flops, objective.max_latency_ms"]),
        (["objective=pareto", "search=none"], ["objective=pareto contradicts search=none", "allowed is search=edits"]),
        (["budget.kwh=3"], ["budget.kwh", "did you mean budget.wh", "budget.minutes"]),
        (["budget.wh=0"], ["budget.wh", "above 0", "0"]),
        (["energy.country=ZZZ"], ["energy.country", "ZZZ", "ISO 3166-1", "null"]),
        (["explanation.methods.saliency.steps=3"], ["explanation.methods.saliency", "integrated_gradients"]),
        (["search=null"], ["search: null", "edits, none, random"]),
        (["schedule=cosin"], ["did you mean cosine", "one_cycle, plateau, step"]),
        (["schedule=step", "schedule.gamma=null"], ["schedule.gamma", "null"]),
        (["training.max_epochs=0"], ["training.max_epochs", "above 0", "0"]),
        (["optimizer=[adamw,sgd]"], ["one choice", "adagrad, adam, adamw"]),
        (["search.edits=widen_layr"], ["widen_layr", "did you mean widen_layer"]),
        (["search.edits=5"], ["search.edits", "add_layer", "5"]),
        (["search.edits=[]"], ["search.edits", "search=none"]),
        (["edit=add_layer"], ["search.edits=[NAME"]),
        (["training.learning_rate=-1"], ["training.learning_rate", "above 0", "-1"]),
        (["training.learning_rate=nan"], ["above 0", "nan"]),
        (["training.learning_rate=fast"], ["a number", "fast"]),
        (["training.batch_size=1.5"], ["whole number from 1 to 65536 or one of all, measured or null", "1.5"]),
        (["training.batch_size=true"], ["whole number", "got true"]),
        (["training.batch_size=full"], ["all, measured or null", "full"]),
        (["optimizer=nesterov", "optimizer.nesterov=false"], ["optimizer.nesterov must be true", "false"]),
        (["training.max_retreats=-1"], ["training.max_retreats", "from 0 to 100", "-1"]),
        (["training.target_loss=0"], ["training.target_loss", "above 0 or null", "0"]),
        (["training.find_rate=1"], ["training.find_rate", "true or false", "1"]),
        (
            ["training.default_learning_rate=1"],
            ["unknown key training.default_learning_rate", "training.learning_rate"],
        ),
        (["trainer.strategy=fsdp"], ["trainer.strategy", "auto, ddp", "fsdp"]),
        (["fresh=1"], ["true or false", "1"]),
        (["orchestrator=airflow"], ["prefect, inline", "airflow"]),
        (["seed=-1"], ["seed", "from 0", "-1"]),
        (["seed='1'"], ["seed", "'1'"]),
        (["seed=1e400"], ["inf"]),
        (["budget.minutes=0"], ["budget.minutes", "above 0", "0"]),
        (["budget.target_error=1.0"], ["above 0 and below 1"]),
        (["trainer.devices=0"], ["trainer.devices", "from 1 to 64", "0"]),
        (["trainer.precision=float16"], ["auto, float32, bfloat16", "float16"]),
        (["optimizer.weight_decay=-1"], ["optimizer.weight_decay", "from 0.0", "-1"]),
        (["optimizer=adamw", "optimizer.betas=[0.9]"], ["a list of 2"]),
        (["optimizer=adamw", "optimizer.betas={}"], ["optimizer.betas={} is of another kind", "allowed"]),
        (["augmentation.transforms.shift=[]"], ["augmentation.transforms.shift=[] is of another kind", "allowed"]),
        (["optimizer=adamw", "optimizer.betas=[0.9,2]"], ["each a number from 0.0"]),
        (["data=mnist", "data.root=[1]"], ["data.root", "a text"]),
        (
            ["augmentation=auto", "augmentation.candidates=[rotat]"],
            ["augmentation.candidates", "did you mean rotate or"],
        ),
        (["augmentation=auto", "augmentation.candidates=3"], ["augmentation.candidates must be all or a list", "3"]),
        (["augmentation=[auto,shift]"], ["augmentation.candidates", "(Shift)", "allowed is augmentation=auto"]),
        (["augmentation.candidates=all"], ["augmentation.candidates", "allowed is augmentation=auto"]),
        (["augmentation.copies=0"], ["augmentation.copies must be a whole number from 1 to 100 or null", "got 0"]),
        (["augmentation.mode=two"], ["augmentation.mode must be one of all, one", "got two"]),
        (["augmentation.transforms=null"], ["augmentation.transforms", "null"]),
        (["augmentation.transforms.shift=null"], ["augmentation.transforms.shift", "null"]),
        (["augmentation.transforms.shift=${optimizer}"], ["torch.optim.AdamW", "modules.augmentation.shift.Shift"]),
        (["study=../x"], ["study", "letters, digits", "../x"]),
        (["study=a/b"], ["a/b"]),
        (["study=.hidden"], [".hidden"]),
        (["study=''"], ["letters", "''"]),
        (["study=" + "a" * 101], ["100"]),
        (["optimizer._target_=os.system"], ["_target_", "optimizer=sgd"]),
        (["optimizer={_target_: os.system}"], ["_target_"]),
        (["augmentation={transforms: {x: {_target_: os.system}}}"], ["_target_"]),
        (["optimizer._schema_.eps.max=9"], ["_schema_"]),
        (["hydra.run.dir=/tmp"], ["Hydra's own"]),
        (["hydra/job_logging=none"], ["Hydra's own"]),
        (["+foo=3"], ["+"]),
        (["++seed=3"], ["+", "key=value"]),
        (["~optimizer"], ["~", "transform"]),
        (["~augmentation.transforms.shift.max_pixels"], ["only a transform can be taken out", "transforms.NAME"]),
        (["pretrained=[a]"], ["pretrained=['a']", "allowed are auto, none, efficientnet_lite0", "a file"]),
        (["pretrained=5"], ["pretrained=5 is neither", "auto, none"]),
        (["pretrained=true"], ["pretrained=true is neither"]),
        (["pretrained=null"], ["pretrained=null is neither"]),
        (["data=folder", "data.root="], ["data.root is empty", "shell", "a path"]),
        (["data.corrections=''"], ["data.corrections is empty"]),
        (
            ["transfer.sides=96"],
            ["a list of at least 1, each a whole number from 32 to 1024 that 32 divides; got 96"],
        ),
        (["transfer.sides=[100]"], ["that 32 divides; got 100"]),
        (["transfer.gears=upper"], ["a list, each one of upper, all; got upper"]),
        (["data@optimizer=mnist"], ["(@)"]),
        (["optimizer/eps=1"], ["optimizer.eps"]),
        (["seed"], ["cannot read", "'seed'", "key=value"]),
        (["=3"], ["cannot read"]),
        ([""], ["cannot read"]),
        (["seed=[1"], ["cannot read", "seed=[1"]),
        (["seed=1,2"], ["several values", "-m"]),
        (["seed=1", "seed=2"], ["seed=1 and seed=2 contradict"]),
        (["search=none", "search.generations=3"], ["contradicts search=none"]),
        (
            ["pretrained=efficientnet_lite0", "search.space=recipe"],
            ["pretrained=efficientnet_lite0 contradicts search.space=recipe", "allowed is one of the two"],
        ),
        (
            ["pretrained=efficientnet_lite1", "search.optimizers=[muon]"],
            ["contradicts search.optimizers", "from scratch"],
        ),
        (
            ["pretrained=efficientnet_lite2", "training.batch_size=measured"],
            ["contradicts training.batch_size=measured"],
        ),
        (["averaging=none", "averaging.half_life_samples=9"], ["unknown key averaging.half_life_samples"]),
        (["averaging=swa", "averaging.start_fraction=2"], ["averaging.start_fraction", "from 0.0 to 1.0", "2"]),
        (["averaging=null"], ["averaging: null", "ema, none, swa"]),
        (["mixing=null"], ["mixing: null", "did you mean none", "cutmix, mixup, none"]),
        (["data.steer_fraction=0.6", "data.confirm_fraction=0.5"], ["no image to train on", "1.3"]),
        (["seed=${nothing}"], ["nothing"]),
        (["seed=???"], ["seed"]),
    ],
)
def test_a_wrong_override_gets_one_sentence(overrides, said):
    text = refusal(*overrides)
    for fragment in said:
        assert fragment in text


def test_the_same_override_twice_is_no_contradiction():
    assert resolve(["seed=1", "seed=1"]).seed == 1


def refusal_of(act: Callable[[], object]) -> str:
    """Empty where `act` succeeds, or the text that refuses it; anything else it raises comes out."""
    try:
        act()
    except ConfigError as error:
        return str(error)
    return ""


@settings(max_examples=300)
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    refused = refusal_of(lambda: check(read([text]), CONF))
    if refused:
        assert "allowed" in refused
        assert "\n" not in refused
    else:
        (typed,) = read([text])
        assert typed.key in text


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(
        ["seed", "study", "data", "training.batch_size", "optimizer.betas", "augmentation.transforms.shift"]
    ),
    st.one_of(
        st.none(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.lists(st.integers(), max_size=3),
        st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(), max_size=2),
    ),
)
def test_any_value_is_taken_or_refused(key, value):
    override = f"{key}={value}"
    refused = refusal_of(lambda: resolve(["optimizer=adamw", override]))
    if refused:
        assert key.split(".")[0] in refused
        assert "\n" not in refused
    else:
        found = resolve([override])
        assert Settings.model_validate_json(found.model_dump_json()) == found


def test_resolving_leaves_another_hydra_alone(tmp_path):
    (tmp_path / "config.yaml").write_text("mine: 1")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        resolve()
        assert compose("config").mine == 1


def test_the_printed_configuration_resolves_to_the_same_study(tmp_path):
    from omegaconf import OmegaConf

    printed = OmegaConf.create(config_text(["seed=3"]))
    assert printed.seed == 3
    assert printed.training.learning_rate == resolve().training.learning_rate
    assert config_text(["seed=3"]).startswith(f"# study {resolve(['seed=3']).study_name}\n")
    assert resolved_config(["seed=3"])["seed"] == 3


def test_a_multirun_is_every_combination_in_order():
    assert expand_multirun(["seed=1,2", "data=mnist", "training.batch_size=range(1,3)"]) == [
        ["seed=1", "data=mnist", "training.batch_size=1"],
        ["seed=1", "data=mnist", "training.batch_size=2"],
        ["seed=2", "data=mnist", "training.batch_size=1"],
        ["seed=2", "data=mnist", "training.batch_size=2"],
    ]
    assert expand_multirun(["seed=1"]) == [["seed=1"]]
    assert expand_multirun([]) == [[]]
    assert expand_multirun(["optimizer=glob(*adam,exclude=n*)"]) == [["optimizer=adam"]]
    assert expand_multirun(["augmentation=[shift],[shift,flip]"]) == [
        ["augmentation=[shift]"],
        ["augmentation=[shift,flip]"],
    ]
    assert expand_multirun(["data.root='/a,b'"]) == [["data.root='/a,b'"]]
    assert expand_multirun(["study=a,b", "seed=1"]) == [["study=a", "seed=1"], ["study=b", "seed=1"]]
    each = [resolve(["data=mnist", *one]) for one in expand_multirun(["data.root=/ä,/b c"])]
    roots = [settings.data.reader.arguments["root"] for settings in each]
    assert roots == ["/ä", "/b c"]


def test_a_range_of_decimals_stops_before_its_end():
    expected = [[f"training.learning_rate={rate}"] for rate in ("0.1", "0.2", "0.3")]
    assert expand_multirun(["training.learning_rate=range(0.1,0.4,0.1)"]) == expected
    assert expand_multirun(["training.learning_rate=range(0.3,0,-0.1)"]) == expected[::-1]
    assert sorted(expand_multirun(["training.learning_rate=shuffle(range(0.1,0.4,0.1))"])) == expected


def test_a_value_that_is_typed_twice_is_one_study():
    assert expand_multirun(["seed=1,2,1"]) == [["seed=1"], ["seed=2"]]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=interval(0,1)"], "interval"),
        (["seed=range(1,3,0)"], "no value"),
        (["study=a,b", "seed=1,2"], "study= names 2 studies, and -m asks for 4"),
        (["seed=range(0,1000000000)"], "at most"),
        (["seed=1,2", "study=x"], "study="),
        (["optimizer=glob(zzz)"], "no value"),
        (["seed=1,"], "cannot read"),
    ],
)
def test_a_wrong_multirun_gets_one_sentence(overrides, said):
    with pytest.raises(ConfigError, match=said):
        expand_multirun(overrides)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "float", "min": 0.0, "max": 1.0}, [0, 1, 0.5], [True, "0.5", None, -0.1, 1.1, float("nan"), [0.5]]),
        ({"type": "int", "min": 1}, [1, 10**9], [0, 1.0, True, None, "1"]),
        ({"type": "bool"}, [True, False], [0, 1, "true", None]),
        ({"type": "str", "choices": ["a", "b"]}, ["a", "b"], ["c", 1, None]),
        ({"type": "str", "optional": True}, ["", None], [1]),
        ({"type": "float", "count": 2}, [[0.1, 2]], [0.1, [0.1], [0.1, "a"], [1, 2, 3], None]),
        ({"type": "float", "count": {"min": 1, "max": 3}}, [[0.1], [1, 2, 3]], [0.1, [], [0.1, "a"], [1, 2, 3, 4]]),
    ],
)
def test_arguments_are_checked_against_their_schema(schema, good, bad):
    for value in good:
        check_argument("part.argument", value, schema)
    for value in bad:
        with pytest.raises(ConfigError, match=r"^part\.argument must be .*; got "):
            check_argument("part.argument", value, schema)


def test_home_is_absolute_and_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESPALIER_HOME", raising=False)
    assert home_folder() == tmp_path / "mlruns"
    monkeypatch.setenv("ESPALIER_HOME", "elsewhere")
    assert home_folder() == tmp_path / "elsewhere"
    Path("elsewhere").write_text("")
    with pytest.raises(HomeError, match="which is a file"):
        home_folder()


def test_settings_come_without_torch():
    heavy = "{'torch', 'prefect', 'mlflow', 'pytorch_lightning', 'sklearn'}"
    code = f"import sys; from modules.config import resolve; resolve(); assert not {heavy} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=CONF.parent).returncode == 0


def test_whether_a_schedule_was_asked_for():
    assert resolve([]).has_default_schedule
    assert not resolve(["schedule=constant"]).has_default_schedule
    assert not resolve(["experiment=classic_cnn"]).has_default_schedule
