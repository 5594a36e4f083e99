"""What to try next: edits in an order drawn from a mix, with odds that the evaluation, the ledger and the limits shift.

The odds of an edit at a place are a product:

- the mix: what edits of its kind are worth trying before anything is known;
- the fit: growing edits where the gap between training and *steer* is small, the others where it is large;
- a finding: a rule of the diagnosis that asks for this edit at this place;
- credit: what the edit has earned in earlier generations;
- limits: nothing that must be refused, less that grows where little room is left;
- memory: the same edit on the same architecture was refused or not kept.

A proposal's reason says which of these spoke for it or against it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modules.architecture.description import Architecture
from modules.architecture.layers import layers_of
from modules.edits.edit import apply_to
from modules.edits.recipe_edit import RecipeEdit
from modules.parts import build, resolve
from modules.randomness import normal, uniform
from modules.recipe import Recipe
from modules.records import LedgerRow, Part, Record
from modules.search.diagnosis import Diagnosis, Finding
from modules.search.edit_odds import credit_of
from modules.search.limits import Cost, Limits
from modules.search.prior import Prior

# Exact edits lose nothing while they are tried, so that they come first. The others start worse than their parent; but
# what they save is kept for good, and the search is for a small network too.
_KIND_WEIGHTS: Mapping[str, float] = {"exact": 2.0, "approximate": 1.5, "lossy": 1.5}
# Exceptions. Larger kernels cost most of all growth (2.8 times from 3 to 5); what a network trains through it needs for
# longer than the slice after which it seems to be idle.
_NAME_WEIGHTS: Mapping[str, float] = {"raise_kernel": 1.0, "remove_skip": 0.5}

_FITTING = 1.5  # the factor of growing edits where the gap is small, and of the others where it is large
_TRIED_BEFORE = 0.2  # the factor for each time that the same was refused or not kept
_IN_VAIN = "the same was tried before on this architecture and not kept"


class Proposal(Record):
    """An edit at a site, and why it is proposed."""

    name: str
    edit: Part
    reason: str


class Knowledge(Record):
    """What a choice of edits can rest on."""

    diagnosis: Diagnosis
    rows: tuple[LedgerRow, ...] = ()  # of the study's earlier generations
    limits: Limits = Limits()
    latency_ms: float | None = None  # of the network, where it is limited
    prior: Prior = Prior()

    def exceeds_limits(self, architecture: Architecture) -> bool:
        """Whether the network costs more than it may."""
        return self.limits.excess(Cost.of(architecture, self.latency_ms)) > 0


@dataclass(frozen=True)
class _Option:
    """A proposal with its odds: those of its site among the sites of its edit, and its own among those of others."""

    proposal: Proposal
    site_weight: float = 1.0
    weight: float = 1.0


def propose(
    edits: Sequence[Part],
    recipe: Recipe,
    knowledge: Knowledge | None,
    count: int,
    seed: int,
    generation: int,
) -> tuple[Proposal, ...]:
    """At most `count` different edits in the order to try them: each edit once, at some site, before any comes twice.

    But where a limit is exceeded, it counts alone how near to it an edit leads, also if it is the same at two sites.

    Without knowledge all edits are alike, and all sites of each: random search. Fewer come back where fewer fit.
    """
    rounds: list[tuple[int, float, Proposal]] = []
    exceeds = knowledge is not None and knowledge.exceeds_limits(recipe.architecture)
    weights = {} if knowledge is None else _placeholders(recipe.architecture)
    for edit in edits:
        options = _options(edit, recipe, weights, knowledge)
        places = _race([option.site_weight for option in options], seed, "site", generation, edit.name)
        ordered = [options[index] for index in sorted(range(len(options)), key=places.__getitem__)]
        luck = _race([option.weight for option in ordered], seed, "propose", generation, edit.name)
        rounds += [(0 if exceeds else place, luck[place], one.proposal) for place, one in enumerate(ordered)]
    rounds.sort(key=lambda row: row[:2])
    return tuple(proposal for _, _, proposal in rounds[:count])


def _race(weights: Sequence[float], *coordinates: int | str) -> list[float]:
    """Finishing times: in their order, each next one is drawn in proportion to the weights (exponential clocks)."""
    numbers = uniform(*coordinates, np.arange(len(weights), dtype=np.uint64))
    return [-math.log1p(-float(number)) / weight for number, weight in zip(numbers, weights, strict=True)]


def sites_of(edit: Part, recipe: Recipe) -> tuple[dict[str, Any], ...]:
    """The site arguments of every place where an edit fits, of the architecture or of the rest of the recipe."""
    kind = resolve(edit.target)
    sites: tuple[dict[str, Any], ...] = kind.sites(recipe if _revises(edit) else recipe.architecture)
    return sites


def _sites_within_limits(edit: Part, architecture: Architecture, knowledge: Knowledge) -> tuple[dict[str, Any], ...]:
    """Where a limit is exceeded: how an edit leads just below it, if it is one that can go as far as it is asked."""
    leaving = getattr(resolve(edit.target), "sites_leaving", None)
    shares = knowledge.limits.shares(Cost.of(architecture, knowledge.latency_ms))
    sites: tuple[dict[str, Any], ...] = leaving(architecture, shares) if leaving and shares else ()
    return sites


def _revises(edit: Part) -> bool:
    return issubclass(resolve(edit.target), RecipeEdit)


def _options(edit: Part, recipe: Recipe, weights: Mapping[str, Any], knowledge: Knowledge | None) -> list[_Option]:
    sites = sites_of(edit, recipe)
    if knowledge is not None:
        sites += _sites_within_limits(edit, recipe.architecture, knowledge)
    parts = [Part(target=edit.target, arguments={**edit.arguments, **site}) for site in sites]
    if knowledge is None:
        name = _snake(edit.name)
        return [_Option(Proposal(name=name, edit=part, reason="drawn at random")) for part in parts]
    return _weighed(edit, parts, sites, recipe.architecture, weights, knowledge)


def _weighed(
    edit: Part,
    parts: list[Part],
    sites: Sequence[dict[str, Any]],
    architecture: Architecture,
    weights: Mapping[str, Any],
    knowledge: Knowledge,
) -> list[_Option]:
    """The options that the limits allow, with their odds and reasons."""
    name, limits, before = _snake(edit.name), knowledge.limits, Cost.of(architecture, knowledge.latency_ms)
    findings = _asking(name, sites, architecture, knowledge.diagnosis)
    earlier = knowledge.prior.earlier(name)
    credit = credit_of(name, knowledge.rows, knowledge.diagnosis.steer_loss, earlier)
    in_vain = _tried_in_vain(architecture, knowledge.rows)
    usual = _NAME_WEIGHTS.get(name, _KIND_WEIGHTS[resolve(edit.target).kind]) * credit.weight
    options = []
    for part, finding in zip(parts, findings, strict=True):
        after = _cost_after(part, architecture, weights, before)
        if not limits.allows(before, after):
            continue
        times = in_vain.count(part)
        memory, strength = _TRIED_BEFORE**times, finding.strength if finding else 1.0
        fits = knowledge.diagnosis.leaning == ("grow" if after.grew_from(before) else "shrink")
        fit = _FITTING if fits and not _revises(edit) else 1.0
        reasons = [
            finding.reason if finding else f"drawn from the mix: {knowledge.diagnosis.fit}",
            credit.sentence,
            limits.note(before) or "",
            _IN_VAIN if times else "",
        ]
        proposal = Proposal(name=name, edit=part, reason="; ".join(filter(None, reasons)))
        # a place that is asked for is as likely as `strength` to one against all others, however many there are
        site_weight = memory * (strength * len(sites) if finding else 1.0)
        room = limits.weight(before, after)
        site_weight *= room if limits.excess(before) > 0 else 1.0
        options.append(_Option(proposal, site_weight, usual * fit * strength * memory * room))
    return options


def _asking(
    name: str, sites: Sequence[dict[str, Any]], architecture: Architecture, diagnosis: Diagnosis
) -> list[Finding | None]:
    """For each site the strongest finding that asks for this edit there.

    A finding means the site at its node; where there is none, those at nodes of the same layer: edits differ in which
    node of a layer they go by. Of the recipe it means the sites that are as it says.
    """
    layers = {node: layer.node for layer in layers_of(architecture) for node in layer.nodes}
    nodes = [site.get("node") for site in sites]
    found: list[Finding | None] = [None] * len(sites)
    for finding in (*diagnosis.findings(architecture), *diagnosis.findings_of_recipe):
        if finding.edit != name:
            continue
        meant = [
            index
            for index, (node, site) in enumerate(zip(nodes, sites, strict=True))
            if finding.node in (None, node) and finding.site.items() <= site.items()
        ]
        layer = layers.get(finding.node or "", "")
        meant = meant or [index for index, node in enumerate(nodes) if layer and layers.get(str(node)) == layer]
        for index in meant:
            found[index] = found[index] or finding
    return found


def _tried_in_vain(architecture: Architecture, rows: Sequence[LedgerRow]) -> list[Part | None]:
    """The edits of this very architecture that were refused or not kept, as often as they were."""
    digest = architecture.content_digest
    return [row.proposed for row in rows if row.parent_architecture == digest and not row.kept]


def _cost_after(part: Part, architecture: Architecture, weights: Mapping[str, Any], before: Cost) -> Cost:
    """What the network would cost after an edit: as before where it stays, or where the edit does not fit.

    Its latency is guessed to follow its operations.
    """
    if _revises(part):
        return before
    try:
        after = Cost.of(apply_to(build(part), architecture, weights, seed=0).architecture)
    except ValueError:
        return before
    return after._replace(latency_ms=before.latency_ms and before.latency_ms * after.flops / before.flops)


def _placeholders(architecture: Architecture) -> dict[str, Any]:
    """Weights of the right shapes, as this process has none.

    What an edit costs hardly depends on their values; where it picks channels from a whole network, what it was not
    asked to save is a guess.
    """
    values = normal("placeholder", np.arange(1024, dtype=np.uint64)).astype(np.float32)
    return {name: np.resize(values, spec.shape) for name, spec in architecture.tensors().items()}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
