"""What a trained network shows, and what each of it asks for: rules that name an edit, a place and the reason.

A rule only shifts the odds of what is tried; whether an edit was worth it is for judging to say.
"""

from collections import defaultdict
from typing import Any, Literal, Self

from pydantic import Field

from modules.architecture.channels import ChannelGroup, groups_by_node
from modules.architecture.description import Architecture
from modules.architecture.nodes import Conv
from modules.records import LayerMeasures, Record, TrialResult

Leaning = Literal["grow", "shrink"]
Rule = Literal["redundant channels", "full layer", "idle layer", "unchanged input", "gap"]

_GAP = 0.25  # of the loss on steer, above which the network is said to fit its training images better than others

_AUGMENTING = 1.5  # the odds of the direction of augmentation that the gap speaks for; a guess, not measured

_REDUNDANT = 0.1  # of a group's channels
# Trained layers of the first networks had an effective rank of 0.3 to 0.65 of their channels (digits, Fashion-MNIST;
# after an activation even independent channels vary unequally, so that 1 is never reached).
_FULL = 0.5
_IDLE = 0.2
# A residual branch whose output is a fifth of what it is added to, and unlike it, leaves a cosine of 0.98.
_UNCHANGED = 0.98

_DEEPENING = ("add_layer", "add_block", "deepen_layer")


class Finding(Record):
    """What a rule asks for: `strength` is the factor on the odds of that edit at that place."""

    rule: Rule
    edit: str
    node: str | None  # a node of the layer that is meant; None: anywhere
    strength: float
    reason: str
    site: dict[str, Any] = Field(default_factory=dict)  # other site arguments that are meant


class Diagnosis(Record):
    """What a trained network shows. Losses in nats, errors as fractions.

    Where it could not be looked at, nothing is known but what its training said of *steer*, and no rule asks for
    anything.
    """

    train_loss: float | None
    steer_loss: float
    train_error: float | None
    steer_error: float
    layers: tuple[LayerMeasures, ...] = ()

    @classmethod
    def without_a_look(cls, trial: TrialResult) -> Self:
        """What is known of a network all the same."""
        return cls(train_loss=None, steer_loss=trial.steer_loss, train_error=None, steer_error=trial.steer_error)

    @property
    def gap(self) -> float | None:
        """How much of the loss on *steer* is not there on training images."""
        if self.train_loss is None:
            return None
        return (self.steer_loss - self.train_loss) / self.steer_loss if self.steer_loss > 0 else 0.0

    @property
    def leaning(self) -> Leaning | None:
        """Whether capacity is what is short."""
        if self.gap is None:
            return None
        return "shrink" if self.gap > _GAP else "grow"

    @property
    def fit(self) -> str:
        """The losses and what they lean to, in a sentence."""
        if self.leaning is None:
            return "the network could not be looked at"
        if self.leaning == "shrink":
            return f"{self._losses}: the gap is large, so that more capacity may not help by itself"
        return f"{self._losses}: the gap is small, so that capacity is what is short"

    def findings(self, architecture: Architecture) -> tuple[Finding, ...]:
        """What the rules ask for in the architecture that was diagnosed, the strongest first; one for each place."""
        groups = groups_by_node(architecture)
        found = [*_redundant_channels(self, groups), *_unchanged_inputs(self)]
        if self.leaning == "grow":
            found += _full_layers(self, groups)
        else:
            found += _idle_layers(self, architecture, groups)
        found.sort(key=lambda finding: -finding.strength)
        strongest = {(finding.edit, finding.node): finding for finding in reversed(found)}
        return tuple(finding for finding in found if strongest[finding.edit, finding.node] is finding)

    @property
    def findings_of_recipe(self) -> tuple[Finding, ...]:
        """What the gap asks of all that is not the architecture."""
        if self.leaning == "shrink":
            direction, reason = "stronger", "the gap is large, so that training images should differ more"
        elif self.gap is not None and self.gap < 0:
            direction, reason = "weaker", "there is no gap, so that training images may differ more than they have to"
        else:
            return ()
        finding = Finding(
            rule="gap",
            edit="augmentation_strength",
            node=None,
            strength=_AUGMENTING,
            reason=f"{self._losses}: {reason}",
            site={"direction": direction},
        )
        return (finding,)

    @property
    def _losses(self) -> str:
        return f"the loss is {self.train_loss:.3g} on training images and {self.steer_loss:.3g} on steer"

    def headline(self, architecture: Architecture) -> str:
        """How well it fits and the main finding, in a line."""
        findings = self.findings(architecture)
        return "; ".join([self.fit, *(finding.reason for finding in findings[:1])])


def _redundant_channels(diagnosis: Diagnosis, groups: dict[str, ChannelGroup]) -> list[Finding]:
    """Narrow a group whose channels are silent or alike wherever they are seen: of a sum one input may be dead."""
    by_group: dict[str, list[LayerMeasures]] = defaultdict(list)
    for layer in diagnosis.layers:
        if _can_shrink(groups[layer.output]):
            by_group[groups[layer.output].makers[0]].append(layer)
    found = []
    for maker, layers in by_group.items():
        layer = min(layers, key=lambda each: each.redundant)
        if layer.redundant > _REDUNDANT:
            reason = (
                f"of the {layer.channels} channels after {layer.output} {layer.silent:.0%} hardly vary and "
                f"{layer.duplicated:.0%} follow another one, so that there is capacity left over"
            )
            strength = 2 + 8 * min(0.5, layer.redundant)
            found.append(_finding("redundant channels", "narrow_layer", maker, strength, reason))
    return found


def _can_shrink(group: ChannelGroup) -> bool:
    return group.fixed is None and group.size > 1


def _full_layers(diagnosis: Diagnosis, groups: dict[str, ChannelGroup]) -> list[Finding]:
    """Where the gap is small: wider where the channels are used most, or deeper behind it."""
    found = []
    for layer in diagnosis.layers:
        if layer.fullness < _FULL:
            continue
        strength = 2 + 4 * (layer.fullness - _FULL)
        reason = f"{_rank(layer)}, which is much, and the gap is small, so that it may be short of capacity"
        group = groups[layer.output]
        if group.fixed is None:
            found.append(_finding("full layer", "widen_layer", group.makers[0], strength, reason))
        found += [_finding("full layer", edit, layer.output, 0.75 * strength, reason) for edit in _DEEPENING]
    return found


def _idle_layers(diagnosis: Diagnosis, architecture: Architecture, groups: dict[str, ChannelGroup]) -> list[Finding]:
    """Where the gap is large: less where the channels say little that is their own."""
    found = []
    for layer in diagnosis.layers:
        if layer.fullness > _IDLE:
            continue
        reason = f"{_rank(layer)}, which is little, and the gap is large, so that less may do as well"
        group = groups[layer.output]
        if _can_shrink(group):
            found.append(_finding("idle layer", "narrow_layer", group.makers[0], 2.0, reason))
        if isinstance(architecture.node(layer.node), Conv):
            found.append(_finding("idle layer", "lower_kernel", layer.node, 2.0, reason))
    return found


def _unchanged_inputs(diagnosis: Diagnosis) -> list[Finding]:
    """Take out what leaves its input as it is. Not by CKA, which is high for layers that cannot be missed, too."""
    found = []
    for layer in diagnosis.layers:
        if layer.agreement is not None and layer.agreement > _UNCHANGED:
            reason = (
                f"{layer.node} changes next to nothing: the cosine of its input and output is {layer.agreement:.3f}"
            )
            strength = 3 + 3 * (layer.agreement - _UNCHANGED) / (1 - _UNCHANGED)
            found.append(_finding("unchanged input", "remove_layer", layer.node, strength, reason))
    return found


def _rank(layer: LayerMeasures) -> str:
    return f"the {layer.channels} channels after {layer.output} have an effective rank of {layer.effective_rank:.1f}"


def _finding(rule: Rule, edit: str, node: str, strength: float, reason: str) -> Finding:
    return Finding(rule=rule, edit=edit, node=node, strength=strength, reason=reason)
