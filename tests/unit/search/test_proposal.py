import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import architectures, random_weights

from modules.architecture.start import first_architecture
from modules.parts import allowed_targets, resolve
from modules.records import Part
from modules.search.proposal import Diagnosis, propose

EDITS = tuple(
    Part(target=name)
    for name in sorted(allowed_targets())
    if name.startswith("modules.edits.") and not name.startswith("modules.edits.placebo_")
)
ARCHITECTURE = first_architecture((1, 28, 28), 10, 50_000, (0.1,), (0.3,))
SEEDS = st.integers(0, 2**62)
FITTING = tuple(edit for edit in EDITS if resolve(edit.target).sites(ARCHITECTURE))
FOUR = tuple(edit for edit in EDITS if edit.name in ("AddLayer", "WidenLayer", "ReplaceLayer", "NarrowLayer"))


def diagnosis(train_loss=0.10, steer_loss=0.11, **silent) -> Diagnosis:
    return Diagnosis(
        train_loss=train_loss, steer_loss=steer_loss, train_error=0.01, steer_error=0.02, silent_channels=silent
    )


def test_the_edits_of_the_program_are_found():
    assert len(EDITS) >= 5


@given(SEEDS, st.integers(1, 9), st.integers(0, 16))
@settings(max_examples=50)
def test_the_same_seed_proposes_the_same_and_another_generation_something_else(seed, generation, count):
    first, again = (propose(EDITS, ARCHITECTURE, diagnosis(), count, seed, generation) for _ in range(2))
    assert first == again
    assert len(first) == count
    keys = [proposal.edit.content_digest for proposal in first]
    assert len(set(keys)) == count  # no edit twice
    kinds = {proposal.edit.target for proposal in first}
    assert len(kinds) == min(count, len(FITTING))  # each kind once before any twice


def test_generations_and_seeds_differ():
    drawn = {
        tuple(proposal.edit.content_digest for proposal in propose(EDITS, ARCHITECTURE, None, 3, seed, generation))
        for seed in range(4)
        for generation in range(1, 6)
    }
    assert len(drawn) > 12


@given(architectures(), SEEDS)
@settings(max_examples=25)
def test_what_is_proposed_fits(architecture, seed):
    weights = random_weights(architecture)
    for proposal in propose(EDITS, architecture, None, 4, seed, 1):
        edit = resolve(proposal.edit.target)(**proposal.edit.arguments)
        assert edit.apply(architecture, weights).architecture != architecture


def test_fewer_come_back_where_fewer_fit():
    assert propose((), ARCHITECTURE, None, 3, 0, 1) == ()
    (edit,) = [each for each in EDITS if each.name == "RemoveLayer"]
    sites = resolve(edit.target).sites(ARCHITECTURE)
    assert len(propose([edit], ARCHITECTURE, None, 100, 0, 1)) == len(sites)


def test_arguments_of_the_configuration_are_kept():
    (edit,) = [each for each in EDITS if each.name == "WidenLayer"]
    (proposal,) = propose([edit.updated(arguments={"factor": 2.0})], ARCHITECTURE, None, 1, 0, 1)
    assert proposal.name == "widen_layer"
    assert proposal.edit.arguments["factor"] == 2.0
    assert proposal.edit.arguments.keys() > {"factor"}


def first_kinds(informed, runs=500):
    kinds = [resolve(propose(FOUR, ARCHITECTURE, informed, 1, seed, 1)[0].edit.target).kind for seed in range(runs)]
    return {kind: kinds.count(kind) / runs for kind in ("exact", "approximate", "lossy")}


def test_the_diagnosis_leans_and_random_search_does_not():
    """Two exact, an approximate and a lossy edit fit: the first drawn is of a kind in proportion to its weight."""
    assert sorted(resolve(edit.target).kind for edit in FOUR) == ["approximate", "exact", "exact", "lossy"]
    grown = first_kinds(diagnosis())
    assert grown["exact"] == pytest.approx(6 / 8, abs=0.07)
    shrunk = first_kinds(diagnosis(act1=0.5))
    assert shrunk["lossy"] == pytest.approx(3 / 6, abs=0.07)
    alike = first_kinds(None)
    assert alike["exact"] == pytest.approx(2 / 4, abs=0.07)
    assert alike["lossy"] == pytest.approx(1 / 4, abs=0.07)


def test_sites_are_drawn_evenly():
    (edit,) = [each for each in EDITS if each.name == "WidenLayer"]
    sites = resolve(edit.target).sites(ARCHITECTURE)
    drawn = [propose([edit], ARCHITECTURE, None, 1, seed, 1)[0].edit.arguments for seed in range(300)]
    for site in sites:
        share = sum(all(arguments[name] == value for name, value in site.items()) for arguments in drawn) / 300
        assert share == pytest.approx(1 / len(sites), abs=0.1)


def test_a_diagnosis_by_hand():
    small = diagnosis(0.10, 0.11, act1=0.0)
    assert small.gap == pytest.approx(0.01 / 0.11)
    assert small.leaning == "grow"
    assert "the gap is small" in small.reason
    large = diagnosis(0.05, 0.10)
    assert large.leaning == "even"
    assert large.reason == (
        "the loss is 0.05 on training images and 0.1 on steer: the gap is large, so that more capacity may not help by "
        "itself"
    )
    silent = diagnosis(0.05, 0.10, act1=0.2, act2=0.4, act3=0.05)
    assert silent.leaning == "shrink"
    assert silent.reason == ("40% of the channels after act2 hardly vary, so that there is capacity left over")
    assert diagnosis(0.0, 0.0).gap == 0.0


def test_every_proposal_says_why():
    assert {proposal.reason for proposal in propose(EDITS, ARCHITECTURE, None, 3, 0, 1)} == {"drawn at random"}
    informed = diagnosis(act1=0.5)
    assert {proposal.reason for proposal in propose(EDITS, ARCHITECTURE, informed, 3, 0, 1)} == {informed.reason}
