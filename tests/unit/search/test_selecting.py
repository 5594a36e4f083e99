"""Selections that trainings find, on a tiny data set in which some labels are wrong."""

import numpy as np
import pytest
from tiny_study import NUM_TRAIN, NUMERICS, PLAIN, make_data, tiny_architecture, tiny_recipe

from modules.data.parts import group_keys
from modules.errors import DataError
from modules.records import TrialResult
from modules.search.judging import Evidence
from modules.search.laboratory import Laboratory
from modules.search.selecting.auto import Auto, Candidate, Tried, compare, trusted_evidence
from modules.search.selecting.clean import Clean, cleaned
from modules.search.selecting.cross_validation import cross_validate
from modules.search.selecting.prune import Prune, end_by_number
from modules.search.selecting.suspicion import without_suspects
from modules.search.selecting.workplace import KEEP_ALL, Workplace
from modules.selection.label_errors import Suspects
from modules.training.spec import Slice
from modules.workers.jobs import find_job

WRONG = (3, 10, 22, 31, 44, 58)  # training images whose labels are made wrong


class InProcess:
    """A pool without a process."""

    def call(self, job, arguments, report=lambda progress: None):
        return find_job(job)(**arguments, report=report)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    home = tmp_path_factory.mktemp("selecting")
    data = make_data(home)
    labels = np.load(home / data.folder / "labels.npy")
    labels[list(WRONG)] = (labels[list(WRONG)] + 1) % 3
    np.save(home / data.folder / "labels.npy", labels)
    laboratory = Laboratory(home, InProcess(), NUMERICS, data, **PLAIN)
    recipe = tiny_recipe(
        learning_rate=0.03, architecture=tiny_architecture(dropout=0.0), augmentation=(), label_smoothing=0.0
    )

    def train(spec, role):
        return laboratory.found(spec) or laboratory.train(spec, lambda progress: None)

    return Workplace(laboratory, recipe, train, seed=lambda replicate: 1000 * replicate)


def kept_by(workplace, selection):
    return set(workplace.arrays.selected(selection).tolist())


def test_each_image_is_looked_at_by_a_network_that_was_not_trained_on_it(workplace):
    trained = []

    def train(spec, role):
        trained.append(kept_by(workplace, spec.recipe.selection))
        return workplace.train(spec, role)

    validation = cross_validate(Workplace(workplace.laboratory, workplace.recipe, train, workplace.seed), 3, 4.0)
    assert len(trained) == 3
    for fold, members in enumerate(trained):
        assert members == set(np.flatnonzero(validation.folds != fold).tolist())
    groups = group_keys(workplace.arrays.images[:NUM_TRAIN])
    for group in np.unique(groups):
        assert len(set(validation.folds[groups == group].tolist())) == 1
    out = validation.out_of_sample()
    every = validation.outputs("train")
    for place in range(NUM_TRAIN):
        np.testing.assert_array_equal(out[place], every[validation.folds[place]].probabilities[place])


def test_what_they_say_together_is_their_mean(workplace):
    validation = cross_validate(workplace, 3, 4.0)
    np.testing.assert_allclose(
        validation.mean_of("steer"), np.mean([seen.probabilities for seen in validation.outputs("steer")], axis=0)
    )


def test_clean_leaves_wrong_labels_out_and_says_whose_they_are(workplace):
    found = Clean(folds=3, epochs=40.0).find(workplace)
    left_out = set(range(NUM_TRAIN)) - kept_by(workplace, found.selection)
    assert len(left_out & set(WRONG)) >= 4
    assert len(left_out) <= 9
    assert found.num_kept == NUM_TRAIN - len(left_out)
    assert found.sentences[0].startswith(f"left out of training: {len(left_out)} of 60 images")
    listed = [one for one in found.suspects if one.part == "train"]
    assert {one.index for one in listed} == left_out
    assert len(listed) == found.num_suspects["train"]
    assert set(found.num_suspects) == {"train", "steer", "confirm"}
    classes = workplace.laboratory.data.classes
    for one in listed:
        assert one.given == classes[workplace.arrays.labels[one.index]] != one.suggested
    hits = [one for one in listed if one.index in WRONG]
    assert [classes.index(one.suggested) for one in hits] == [one.index % 3 for one in hits]
    assert found.num_trials == 3
    assert found.samples == pytest.approx(2 * 40 * NUM_TRAIN, abs=3 * 16)  # to whole batches: each is left out once


def test_clean_trains_all_under_the_labels_that_are_thought_right(workplace):
    found = Clean(folds=3, epochs=40.0, suspects="relabelled").find(workplace)
    arrays, selected = workplace.arrays.under(found.selection)
    assert len(selected) == found.num_kept == NUM_TRAIN
    changed = set(np.flatnonzero(arrays.labels != workplace.arrays.labels).tolist())
    suspects = {one.index: one.suggested for one in found.suspects if one.part == "train"}
    assert changed == set(suspects)
    classes = workplace.laboratory.data.classes
    assert {index: classes[arrays.labels[index]] for index in changed} == suspects
    assert found.sentences[0].startswith(f"trained on under another label: {len(changed)} of 60 images")


@pytest.mark.parametrize("score", ["el2n", "forgetting"])
def test_prune_keeps_a_fraction_of_each_class(workplace, score):
    hard, easy = (
        Prune(fraction=0.4, score=score, keep=end, folds=3, epochs=6.0, looks=4).find(workplace)
        for end in ("hard", "easy")
    )
    labels = workplace.arrays.labels
    for found in (hard, easy):
        kept = np.array(sorted(kept_by(workplace, found.selection)))
        expected = np.rint(0.4 * np.bincount(labels[:NUM_TRAIN]))
        np.testing.assert_array_equal(np.bincount(labels[kept]), expected)
        assert found.num_kept == len(kept)
    wrong_kept = [len(kept_by(workplace, found.selection) & set(WRONG)) for found in (hard, easy)]
    assert wrong_kept[0] > wrong_kept[1]
    assert "selection=auto leaves out those that it suspects, if they are 0.5% of all or more" in hard.sentences[1]
    assert len(easy.sentences) == 1


@pytest.mark.parametrize(("fraction", "end"), [(0.5, "hard"), (0.49, "easy")])
def test_the_hard_ones_are_kept_where_they_are_not_few(workplace, fraction, end):
    data = workplace.laboratory.data.updated(num_images={"train": 300})  # of three classes
    laboratory = Laboratory(workplace.laboratory.home, InProcess(), NUMERICS, data, **PLAIN)
    assert end_by_number(Workplace(laboratory, workplace.recipe, workplace.train, workplace.seed), fraction) == end


def test_the_same_search_again_trains_nothing(workplace):
    first = Prune(fraction=0.4, folds=3, epochs=6.0).find(workplace)
    before = len(list(workplace.laboratory.store.keys("trials")))
    assert Prune(fraction=0.4, folds=3, epochs=6.0).find(workplace) == first
    assert len(list(workplace.laboratory.store.keys("trials"))) == before


def test_auto_measures_a_random_subset_of_each_size(workplace):
    found = Auto(folds=3, epochs=40.0, judged_epochs=10.0, confidence=0.4).find(workplace)
    rows = {row.name: row for row in found.compared}
    assert list(rows) == ["all", "clean", "random instead of clean", "prune", "random instead of prune"]
    for name in ("clean", "prune"):
        assert rows[name].num_images == rows[f"random instead of {name}"].num_images
        assert rows[name].samples == rows[f"random instead of {name}"].samples
        assert rows[name].effect is not None
        assert rows[name].against_random is not None
    assert rows["all"].samples == rows["clean"].samples == pytest.approx(10 * NUM_TRAIN, abs=16)
    assert rows["prune"].samples == pytest.approx(5 * NUM_TRAIN, abs=16)
    assert found.num_trials == 3 + 2 * 5 == Auto(folds=3).num_trials
    kept = [row.name for row in found.compared if row.kept]
    assert len(kept) <= 1
    assert (found.selection == KEEP_ALL) == (not kept)
    assert (found.confirmed is not None) == (found.confirmed_on_all is not None) == bool(kept)


def test_auto_says_of_cleaning_only_where_it_cleans(workplace, monkeypatch):
    def with_a_note(*arguments):
        return cleaned(*arguments)._replace(notes=("class 'lying' keeps all its labels",))

    monkeypatch.setattr("modules.search.selecting.auto.cleaned", with_a_note)
    found = Auto(folds=3, epochs=40.0, judged_epochs=10.0, confidence=0.4).find(workplace)
    cleans = any(row.kept and row.name == "clean" for row in found.compared)
    assert any("keeps all its labels" in sentence for sentence in found.sentences) == cleans


def test_a_random_selection_has_as_many_of_each_class(workplace):
    some = workplace.kept(np.array([0, 1, 4, 7, 9]))
    random = workplace.random_like(some)
    labels = workplace.arrays.labels
    counts = [np.bincount(labels[sorted(kept_by(workplace, one))], minlength=3).tolist() for one in (some, random)]
    assert counts[0] == counts[1]
    assert kept_by(workplace, some) != kept_by(workplace, random)


def test_too_few_images_for_so_many_folds(workplace):
    with pytest.raises(DataError, match=r"make no 60 folds: fold \d+ is empty; allowed are fewer"):
        cross_validate(workplace, 60, 1.0)


def test_a_class_that_the_networks_do_not_know_keeps_its_images():
    labels = np.array([0, 0, 0, 1, 1, 1])
    suspects = Suspects(np.array([0, 3, 4]), np.array([1, 0, 0]), np.array([0.9, 0.9, 0.9]))
    kept, spared = without_suspects(labels, suspects)
    assert kept.tolist() == [1, 2, 3, 4, 5]
    assert spared == (1,)


def trial(seconds=1.0, samples=100):
    return TrialResult.model_construct(key="", seconds=seconds, samples=samples)


def tried(name, losses, wrong=None):
    """Two seeds of made-up losses; `losses` is the mean, everything else is noise."""
    random = np.random.default_rng(sum(map(ord, name)))
    drawn = np.maximum(0.0, losses + 0.02 * random.normal(size=(2, 400)))
    errors = np.zeros((2, 400), dtype=bool) if wrong is None else np.tile(np.arange(400) < wrong, (2, 1))
    evidence = Evidence(drawn, errors)
    return Tried(name, KEEP_ALL, 50, (trial(), trial()), evidence, evidence)


CONTROL = tried("all", 0.5)


def judged(loss, random_loss, saves, margin=0.05, wrong=None):
    candidate = Candidate(tried("one", loss, wrong), tried("random", random_loss), saves)
    rows, winner = compare(CONTROL, [candidate], margin)
    assert [row.name for row in rows] == ["all", "one", "random"]
    assert rows[1].kept == (winner is not None)
    return rows[1]


def test_what_is_better_than_all_and_than_chance_is_kept():
    row = judged(0.4, 0.5, saves=False)
    assert row.kept
    assert row.effect.high < 0
    assert row.against_random.high < 0
    assert row.verdict == "kept"


def test_what_chance_does_as_well_is_not_kept():
    row = judged(0.4, 0.4, saves=False)
    assert not row.kept
    assert "no better than a random subset of its size" in row.verdict


def test_cleaning_has_to_gain_and_saving_must_not_lose_more_than_the_margin():
    assert "no evidence of a gain" in judged(0.5, 0.6, saves=False).verdict
    assert judged(0.5, 0.6, saves=True, margin=0.1).kept
    assert "by more than the margin" in judged(0.56, 0.7, saves=True).verdict


def test_the_reason_is_the_comparison_that_says_less_and_its_p_value_is_the_adjusted_one():
    candidates = [
        Candidate(tried("one", 0.5), tried("r1", 0.48), saves=False),  # no better than all, worse than chance
        Candidate(tried("two", 0.49), tried("r2", 0.6), saves=False),  # better than chance
    ]
    rows, _ = compare(CONTROL, candidates, 0.05)
    one, two = (next(row for row in rows if row.name == name) for name in ("one", "two"))
    assert one.verdict == f"not kept: no better than a random subset of its size (p = {one.p_value:.2f})"
    assert two.verdict == f"not kept: no evidence of a gain (p = {two.p_value:.2f})"


def test_what_errs_more_on_all_of_steer_is_not_kept():
    assert "McNemar" in judged(0.4, 0.5, saves=False, wrong=30).verdict


def test_of_two_that_pass_one_is_kept():
    better = Candidate(tried("better", 0.3), tried("r1", 0.5), saves=False)
    good = Candidate(tried("good", 0.4), tried("r2", 0.5), saves=False)
    rows, winner = compare(CONTROL, [good, better], 0.05)
    assert winner is better.tried
    assert [row.name for row in rows if row.kept] == ["better"]
    assert "another one gains more" in next(row for row in rows if row.name == "good").verdict


def test_placebos_are_rarely_kept():
    kept = 0
    for number in range(60):
        one, two, three = (tried(f"{name}{number}", 0.5) for name in ("control", "child", "chance"))
        kept += compare(one, [Candidate(two, three, saves=False)], 0.05)[1] is not None
    assert kept <= 3


def test_suspects_of_steer_do_not_speak_against_a_selection():
    evidence = Evidence(np.array([[0.1, 9.0, 0.2]]), np.array([[False, True, False]]))
    trusted = trusted_evidence(evidence, Suspects(np.array([1]), np.array([0]), np.array([0.9])))
    assert trusted.losses.tolist() == [[0.1, 0.2]]
    everyone = Suspects(np.arange(3), np.zeros(3, dtype=int), np.ones(3))
    assert trusted_evidence(evidence, everyone) is evidence


def test_a_selection_that_was_found_is_part_of_the_trials_key(workplace):
    laboratory = workplace.laboratory
    keys = set()
    for indices in ([0, 1, 2], [0, 1, 2], [0, 1, 5]):
        recipe = workplace.recipe.updated(selection=workplace.kept(np.array(indices)))
        keys.add(laboratory.spec(recipe, Slice(samples=10, evaluate_every=10), 0).key)
    assert len(keys) == 2
