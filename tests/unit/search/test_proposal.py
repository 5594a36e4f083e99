import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_rows import row
from random_networks import architectures, random_weights, recipe_of

from modules.architecture.layers import layers_of
from modules.architecture.start import first_architecture
from modules.edits.add_block import AddBlock
from modules.edits.add_layer import AddLayer
from modules.edits.recipe_edit import RecipeEdit
from modules.parts import allowed_targets, resolve
from modules.records import LayerMeasures, Part
from modules.search.diagnosis import Diagnosis
from modules.search.limits import Cost, Limits
from modules.search.proposal import Knowledge
from modules.search.proposal import propose as propose_for

NAMED = tuple(Part(target=name) for name in sorted(allowed_targets()) if name.startswith("modules.edits."))
ALL = tuple(edit for edit in NAMED if not issubclass(resolve(edit.target), RecipeEdit))
EDITS = tuple(edit for edit in ALL if not edit.name.startswith("Placebo"))  # those are there to be asked for by name
ARCHITECTURE = first_architecture((1, 28, 28), 10, 50_000, (0.1,), (0.3,))
DEEPENED = AddLayer(node="activation2").apply(ARCHITECTURE, {}).architecture
SEEDS = st.integers(0, 2**62)
RUNS = 200

FITTING = tuple(edit for edit in EDITS if resolve(edit.target).sites(ARCHITECTURE))


def propose(edits, architecture, *rest):
    """For a recipe of which nothing but the architecture matters."""
    return propose_for(edits, recipe_of(architecture), *rest)


def measures(architecture, node, **changes) -> LayerMeasures:
    """A healthy layer but for the changes."""
    (layer,) = [each for each in layers_of(architecture) if each.node == node]
    channels = architecture.shapes()[layer.output][0]
    healthy = {
        "silent": 0.0,
        "duplicated": 0.0,
        "effective_rank": 0.4 * channels,
        "similarity": 0.9,
        "agreement": None,
    }
    return LayerMeasures(
        node=node, output=layer.output, channels=channels, full_rank=channels, **{**healthy, **changes}
    )


def knowing(*layers, train_loss=0.10, rows=(), limits=None) -> Knowledge:
    diagnosis = Diagnosis(train_loss=train_loss, steer_loss=0.11, train_error=0.01, steer_error=0.02, layers=layers)
    return Knowledge(diagnosis=diagnosis, rows=tuple(rows), limits=limits or Limits())


KNOWLEDGE = st.sampled_from(
    [
        None,
        knowing(),
        knowing(train_loss=0.01, rows=[row("widen_layer"), row("narrow_layer", kept=True)]),
        knowing(measures(ARCHITECTURE, "conv3", silent=0.5), measures(ARCHITECTURE, "conv1", effective_rank=20.0)),
        knowing(limits=Limits(max_params=66_000)),
    ]
)


def named(name) -> Part:
    (edit,) = [each for each in EDITS if each.name == name]
    return edit


def firsts(known, edits=EDITS, architecture=ARCHITECTURE):
    """What comes first, over many seeds."""
    return [propose(edits, architecture, known, 1, seed, 1)[0] for seed in range(RUNS)]


def share(proposals, **wanted):
    """The fraction of proposals with that name or those arguments."""
    name = wanted.pop("name", None)
    return sum(name in (None, each.name) and wanted.items() <= each.edit.arguments.items() for each in proposals) / len(
        proposals
    )


def test_the_edits_of_the_program_are_found():
    assert len(EDITS) >= 5


@given(SEEDS, st.integers(1, 9), st.integers(0, 12), KNOWLEDGE)
@settings(max_examples=50)
def test_each_edit_comes_once_before_any_comes_twice(seed, generation, count, known):
    first, again = (propose(EDITS, ARCHITECTURE, known, count, seed, generation) for _ in range(2))
    assert first == again
    everything = propose(EDITS, ARCHITECTURE, known, 10_000, seed, generation)
    assert first == everything[:count]  # a longer list begins with the shorter one
    keys = [proposal.edit.content_digest for proposal in everything]
    assert len(set(keys)) == len(keys)  # nothing twice
    names = [proposal.name for proposal in everything]
    seen = [names[:place].count(name) for place, name in enumerate(names)]
    assert seen == sorted(seen)


@given(SEEDS, KNOWLEDGE)
@settings(max_examples=20)
def test_every_site_is_somewhere_in_the_list(seed, known):
    if known is not None and known.limits.max_params:
        return
    everything = propose(EDITS, ARCHITECTURE, known, 10_000, seed, 1)
    assert len(everything) == sum(len(resolve(edit.target).sites(ARCHITECTURE)) for edit in EDITS)


def test_generations_and_seeds_differ():
    drawn = {
        tuple(proposal.edit.content_digest for proposal in propose(EDITS, ARCHITECTURE, None, 3, seed, generation))
        for seed in range(4)
        for generation in range(1, 6)
    }
    assert len(drawn) > 12


@given(architectures(), SEEDS, st.booleans())
@settings(max_examples=25)
def test_what_is_proposed_fits(architecture, seed, informed):
    weights = random_weights(architecture)
    known = knowing() if informed else None
    for proposal in propose(EDITS, architecture, known, 4, seed, 1):
        edit = resolve(proposal.edit.target)(**proposal.edit.arguments)
        assert edit.apply(architecture, weights).architecture != architecture


@pytest.mark.parametrize("known", [None, knowing()])
def test_placebos_are_proposed_where_they_are_asked_for(known):
    placebos = [edit for edit in ALL if edit not in EDITS]
    proposals = propose(placebos, ARCHITECTURE, known, 4, 0, 1)
    assert {proposal.name for proposal in proposals} == {"placebo_branch", "placebo_permute"}


def test_fewer_come_back_where_fewer_fit():
    assert propose((), ARCHITECTURE, None, 3, 0, 1) == ()
    sites = resolve(named("RemoveLayer").target).sites(ARCHITECTURE)
    assert len(propose([named("RemoveLayer")], ARCHITECTURE, None, 100, 0, 1)) == len(sites)


@pytest.mark.parametrize("known", [None, knowing()])
def test_arguments_of_the_configuration_are_kept(known):
    (proposal,) = propose([named("WidenLayer").updated(arguments={"factor": 2.0})], ARCHITECTURE, known, 1, 0, 1)
    assert proposal.name == "widen_layer"
    assert proposal.edit.arguments["factor"] == 2.0
    assert proposal.edit.arguments.keys() > {"factor"}


def test_random_search_draws_edits_and_sites_alike():
    drawn = firsts(None)
    for edit in FITTING:
        assert sum(each.edit.target == edit.target for each in drawn) / RUNS == pytest.approx(1 / len(FITTING), abs=0.1)
    sites = resolve(named("WidenLayer").target).sites(ARCHITECTURE)
    alone = firsts(None, [named("WidenLayer")])
    for site in sites:
        assert share(alone, **site) == pytest.approx(1 / len(sites), abs=0.1)
    assert {proposal.reason for proposal in drawn} == {"drawn at random"}


def test_the_mix_leans_to_growing_where_the_gap_is_small_and_to_the_rest_where_it_is_large():
    """Widening, which is exact, weighs 2, narrowing, which is lossy, 1.5; and one of the two half as much more."""
    two = [named("WidenLayer"), named("NarrowLayer")]
    assert share(firsts(knowing(), two), name="widen_layer") == pytest.approx(3 / 4.5, abs=0.1)
    assert share(firsts(knowing(train_loss=0.01), two), name="widen_layer") == pytest.approx(2 / 4.25, abs=0.1)


def test_what_comes_from_the_mix_says_so_and_what_the_gap_is():
    known = knowing()
    for proposal in propose(EDITS, ARCHITECTURE, known, 8, 0, 1):
        assert proposal.reason == f"drawn from the mix: {known.diagnosis.fit}"


def test_a_finding_makes_its_edit_and_its_place_likely():
    known = knowing(*(measures(ARCHITECTURE, name) for name in ("conv1", "conv2")))
    dead = knowing(measures(ARCHITECTURE, "conv3", silent=0.5))
    two = [named("AddLayer"), named("NarrowLayer")]
    assert share(firsts(dead, two), name="narrow_layer") > 1.5 * share(firsts(known, two), name="narrow_layer")
    alone = firsts(dead, [named("NarrowLayer")])
    assert share(alone, node="conv3") == pytest.approx(6 / 6.75, abs=0.07)  # six to one; there are four places
    (finding,) = dead.diagnosis.findings(ARCHITECTURE)
    for proposal in alone:
        asked = proposal.edit.arguments["node"] == "conv3"
        assert proposal.reason == (finding.reason if asked else f"drawn from the mix: {dead.diagnosis.fit}")


def test_an_idle_branch_is_likely_to_go():
    idle = knowing(measures(DEEPENED, "add1", agreement=0.999))
    (first, *_) = propose([named("RemoveLayer")], DEEPENED, idle, 1, 0, 1)
    assert first.edit.arguments == {"node": "add1"}
    assert "add1 changes next to nothing" in first.reason


def test_a_finding_means_any_node_of_its_layer_where_the_edit_goes_by_another_one():
    full = knowing(measures(ARCHITECTURE, "conv3", effective_rank=60.0))
    drawn = firsts(full, [named("AddLayer")])
    assert share(drawn, node="activation3") > 0.6
    (replaced,) = {
        each.reason for each in firsts(full, [named("ReplaceLayer")]) if each.edit.arguments["node"] == "activation3"
    }
    assert replaced.startswith("drawn from the mix")  # nothing asked for that edit


def test_credit_shifts_the_odds_and_is_said():
    two = [named("WidenLayer"), named("NarrowLayer")]
    earned = knowing(rows=[row("widen_layer", kept=True), row("narrow_layer"), row("narrow_layer")])
    usual, shifted = (share(firsts(known, two), name="widen_layer") for known in (knowing(), earned))
    assert shifted > usual + 0.08
    reasons = {each.name: each.reason for each in firsts(earned, two)}
    assert "widen_layer was kept 1 of 1 times so far" in reasons["widen_layer"]
    assert "narrow_layer was kept 0 of 2 times so far" in reasons["narrow_layer"]


def cost_after(proposal) -> Cost:
    after = resolve(proposal.edit.target)(**proposal.edit.arguments).apply(ARCHITECTURE, random_weights(ARCHITECTURE))
    return Cost(after.architecture.params, after.architecture.flops)


def test_above_a_limit_only_what_shrinks_is_proposed():
    known = knowing(limits=Limits(max_params=50_000))
    proposals = propose(EDITS, ARCHITECTURE, known, 100, 0, 1)
    assert proposals
    for proposal in proposals:
        assert cost_after(proposal).params < ARCHITECTURE.params
        assert "above objective.max_params=50,000, so that only shrinking is proposed" in proposal.reason


def test_below_a_limit_nothing_is_proposed_that_would_exceed_it():
    limits = Limits(max_params=round(ARCHITECTURE.params / 0.96), max_flops=10**9)
    proposals = propose(EDITS, ARCHITECTURE, knowing(limits=limits), 100, 0, 1)
    assert max(cost_after(proposal).params for proposal in proposals) <= limits.max_params
    assert all("the network is at 96% of objective.max_params" in proposal.reason for proposal in proposals)


def test_near_a_limit_growing_is_less_likely():
    two = [named("AddLayer"), named("NarrowLayer")]
    near = Limits(max_params=round(ARCHITECTURE.params * 1.09))
    usual, less = (share(firsts(known, two), name="add_layer") for known in (knowing(), knowing(limits=near)))
    assert less < 0.6 * usual


@pytest.mark.parametrize("trained", [True, False])
def test_what_was_tried_in_vain_is_less_likely_and_says_so(trained):
    edit = named("RemoveLayer")
    sites = resolve(edit.target).sites(DEEPENED)
    tried = edit.updated(arguments=dict(sites[0]))
    digest = DEEPENED.content_digest
    rows = [row("other_name", proposed=tried, parent=digest, trained=trained)]
    both = [edit, named("ReplaceLayer")]
    before = share(firsts(knowing(), both, DEEPENED), name="remove_layer", **sites[0])
    after = share(firsts(knowing(rows=rows), both, DEEPENED), name="remove_layer", **sites[0])
    assert after < 0.5 * before
    everything = propose([edit], DEEPENED, knowing(rows=rows), 100, 0, 1)
    said = [proposal.edit == tried for proposal in everything if "tried before" in proposal.reason]
    assert said == [True]
    elsewhere = [rows[0].updated(parent_architecture="another"), rows[0].updated(kept=True)]
    unmoved = propose([edit], DEEPENED, knowing(rows=elsewhere), 100, 0, 1)
    assert not any("tried before" in proposal.reason for proposal in unmoved)


STRENGTH = Part(target="modules.edits.augmentation_strength.AugmentationStrength", arguments={"factor": 2.0})
AUGMENTED = recipe_of(ARCHITECTURE).updated(
    augmentation=(Part(target="modules.augmentation.rotate.Rotate", arguments={"max_degrees": 10.0}),)
)


def directions(known):
    """Which way augmentation goes first, over many seeds."""
    drawn = [propose_for([STRENGTH], AUGMENTED, known, 1, seed, 1)[0] for seed in range(RUNS)]
    return sum(each.edit.arguments["direction"] == "stronger" for each in drawn) / RUNS, drawn


def test_an_edit_of_the_recipe_is_proposed_like_any_other():
    assert directions(None)[0] == pytest.approx(0.5, abs=0.1)
    among = [propose_for([*FITTING, STRENGTH], AUGMENTED, knowing(), 1, seed, 1)[0].name for seed in range(RUNS)]
    assert 0 < among.count("augmentation_strength") < RUNS / 4
    assert propose_for([STRENGTH], recipe_of(ARCHITECTURE), knowing(), 9, 0, 1) == ()


def test_a_large_gap_asks_for_stronger_augmentation_and_none_for_weaker():
    stronger, drawn = directions(knowing(train_loss=0.01))
    assert stronger == pytest.approx(3 / 4, abs=0.1)
    reasons = {each.edit.arguments["direction"]: each.reason for each in drawn}
    assert "the gap is large, so that training images should differ more" in reasons["stronger"]
    assert reasons["weaker"].startswith("drawn from the mix")
    assert directions(knowing(train_loss=0.12))[0] == pytest.approx(1 / 4, abs=0.1)


def test_an_edit_of_the_recipe_costs_nothing_and_is_in_the_way_of_shrinking():
    near = knowing(limits=Limits(max_params=round(ARCHITECTURE.params * 1.01)))
    assert len(propose_for([STRENGTH], AUGMENTED, near, 9, 0, 1)) == 2
    exceeded = knowing(limits=Limits(max_params=ARCHITECTURE.params - 1))
    assert propose_for([STRENGTH], AUGMENTED, exceeded, 9, 0, 1) == ()


SHRINKING = tuple(named(name) for name in ("NarrowNetwork", "NarrowLayer", "RemoveLayer"))
DEEP = AddBlock(node="activation2").apply(AddBlock(node="activation3").apply(ARCHITECTURE, {}).architecture, {})


def test_beyond_a_limit_what_leads_there_comes_first_also_twice():
    half = knowing(limits=Limits(max_params=DEEP.architecture.params // 2))
    drawn = [propose(SHRINKING, DEEP.architecture, half, 3, seed, 1) for seed in range(30)]
    names = [[each.name for each in three] for three in drawn]
    assert sum("narrow_network" in three for three in names) > 24
    assert any(three.count("narrow_network") > 1 for three in names)
    without = [propose(SHRINKING, DEEP.architecture, knowing(), 3, seed, 1) for seed in range(5)]
    assert all({each.name for each in three} == {"narrow_network", "narrow_layer", "remove_layer"} for three in without)


def test_beyond_a_limit_a_network_is_narrowed_to_just_that():
    limit = round(0.8 * DEEP.architecture.params)
    drawn = propose(SHRINKING[:1], DEEP.architecture, knowing(limits=Limits(max_params=limit)), 9, 0, 1)
    shares = [each.edit.arguments["share"] for each in drawn if each.edit.arguments["saving"] == "params"]
    assert any(0.799 < share <= 0.8 for share in shares)
    assert not any(
        each.edit.arguments["share"] > 0.75 for each in propose(SHRINKING[:1], DEEP.architecture, knowing(), 9, 0, 1)
    )


def test_a_latency_is_guessed_to_follow_operations():
    known = knowing(limits=Limits(max_latency_ms=0.5)).updated(latency_ms=1.0)
    assert known.exceeds_limits(ARCHITECTURE)
    assert not known.updated(latency_ms=0.4).exceeds_limits(ARCHITECTURE)
    drawn = [propose(SHRINKING, ARCHITECTURE, known, 1, seed, 1)[0] for seed in range(30)]
    assert share(drawn, name="narrow_network") > 0.3
    assert all("above objective.max_latency_ms=0.5" in each.reason for each in drawn)
