"""What earlier studies taught: read from what they left, without the study itself, and never more than a nudge."""

import json

import pytest
from made_up_rows import row
from tiny_study import make_data, tiny_recipe

from modules.records import GenerationRecord, Ledger
from modules.search.edit_odds import Earlier, credit_of
from modules.search.prior import Prior, take_prior, value_of


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path)


def leave_study(home, name, data, rows=(), state="completed", **recipe):
    folder = home / "studies" / name
    (folder / "champion").mkdir(parents=True)
    generation = GenerationRecord(
        number=1, parent="p", winner="w", winner_trial="t", rows=rows, smallest_effect=None, noise=0.1
    )
    contest = generation.updated(contest="optimisers", rows=[row("set_optimizer", kept=True)])
    ledger = Ledger(study=name, baseline="b", generations=(generation, contest)).sealed()
    (folder / "ledger.json").write_text(ledger.model_dump_json())
    (folder / "summary.json").write_text(json.dumps({"state": state, "champion": {"val_error": 0.1}}))
    (folder / "view.json").write_text(json.dumps({"data": data.model_dump(mode="json")}))
    (folder / "champion" / "recipe.json").write_text(tiny_recipe(**recipe).model_dump_json())


def test_the_lessons_of_finished_studies(tmp_path, data):
    leave_study(tmp_path, "one", data, [row("control"), row(kept=True), row(), row("add_layer", trained=False)])
    leave_study(tmp_path, "two", data, [row()], learning_rate=0.02)
    leave_study(tmp_path, "stopped", data, [row()], state="interrupted")
    (tmp_path / "studies" / "broken").mkdir()
    (tmp_path / "studies" / "broken" / "summary.json").write_text("{")
    prior = take_prior(tmp_path, ["three"])
    assert [lesson.study for lesson in prior.lessons] == ["one", "two"]
    assert prior.earlier("widen_layer") == Earlier(tried=3, kept=1)
    assert prior.earlier("add_layer") == prior.earlier("set_optimizer") == Earlier()
    assert [lesson.study for lesson in take_prior(tmp_path, {"two"}).lessons] == ["one"]
    assert Prior.model_validate_json(prior.model_dump_json()) == prior
    recipe = prior.lessons[1].recipe
    assert (value_of(recipe, "training.learning_rate"), value_of(recipe, "optimizer.weight_decay")) == (0.02, 0.01)
    assert value_of(recipe, "model.width") is value_of(recipe, "optimizer") is None


def test_rates_come_from_like_data_those_of_the_same_first(tmp_path, data):
    other = data.updated(digest="other")
    large = data.updated(num_images={**data.num_images, "train": 10 * data.num_images["train"]})
    coloured = data.updated(image_shape=(3, 8, 8))
    leave_study(tmp_path, "a-other", other, learning_rate=0.1)
    leave_study(tmp_path, "b-same", data, learning_rate=0.2)
    leave_study(tmp_path, "c-alike", data, learning_rate=0.2)
    leave_study(tmp_path, "d-large", large, learning_rate=0.3)
    leave_study(tmp_path, "e-coloured", coloured, learning_rate=0.4)
    winners = take_prior(tmp_path, ()).winners(data)
    assert [lesson.study for lesson in winners] == ["b-same", "a-other"]


def test_rates_of_fine_tuning_are_not_for_new_weights(tmp_path, data):
    leave_study(tmp_path, "fine-tuned", data, [row(kept=True)], first_layer_rate=0.1)
    leave_study(tmp_path, "frozen", data, frozen_statistics=True)
    leave_study(tmp_path, "anew", data)
    prior = take_prior(tmp_path, ())
    assert [lesson.study for lesson in prior.winners(data)] == ["anew"]
    assert prior.earlier("widen_layer").kept == 1


def test_odds_by_hand():
    """One in four to begin with, worth four tries; earlier studies are worth four more at most."""
    assert credit_of("widen_layer", (), 1.0, Earlier(tried=2, kept=2)).weight == pytest.approx((3 / 6) / (1 / 4))
    many = credit_of("widen_layer", (), 1.0, Earlier(tried=40, kept=20))
    assert many.weight == pytest.approx((1 + 2) / (4 + 4) * 4)
    assert "was kept 20 of 40 times in earlier studies" in many.sentence
    with_own = credit_of("widen_layer", [row()], 1.0, Earlier(tried=4, kept=0))
    assert with_own.weight == pytest.approx((1 / 9) / (1 / 4) if 4 / 9 > 0.25 else 0.25)
    assert credit_of("widen_layer", [row()], 1.0) == credit_of("widen_layer", [row()], 1.0, Earlier())
