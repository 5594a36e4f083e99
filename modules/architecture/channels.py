"""Which tensors share a channel dimension: what has to change together when a layer gets wider or narrower.

A convolution or a dense layer makes channels; normalisations and depthwise convolutions carry them on; a flattening
spreads each over several features; a sum joins the channels of both its inputs into one group; the next convolution or
dense layer consumes them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from modules.architecture.description import IMAGE, Architecture
from modules.architecture.nodes import Add, Conv, Dense, Flatten, GroupNorm, Node, Norm, Standardise

_MULTIPLE = 4


def channel_multiple(size: int) -> int:
    """What a number of channels near `size` is to be a multiple of: from 8 on of 4, which processors are quick at."""
    return _MULTIPLE if size >= 2 * _MULTIPLE else 1


class Slot(NamedTuple):
    """A dimension of a tensor with `repeat` consecutive entries for each channel."""

    tensor: str
    dim: int
    repeat: int = 1


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can only be added or taken away together."""

    size: int
    makers: tuple[str, ...]  # the convolutions and dense layers that make them
    filters: tuple[str, ...]  # the depthwise convolutions that carry them
    made: tuple[Slot, ...]
    carried: tuple[Slot, ...]
    consumed: tuple[Slot, ...]
    block: int  # consecutive channels that can only come and go together: those that are normalised together
    fixed: str | None  # why their number cannot change, if so


class _Channels(NamedTuple):
    """The channels of a node's output: the node that made them and how many features each one has."""

    maker: str
    repeat: int


class _Groups:
    """Union-find over the makers of channels, collecting slots on the way."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.shapes = architecture.shapes()
        self.parents: dict[str, str] = {IMAGE: IMAGE}
        self.outputs: dict[str, _Channels] = {IMAGE: _Channels(IMAGE, 1)}
        self.slots: dict[str, list[tuple[str, Slot]]] = {"made": [], "carried": [], "consumed": []}
        self.filters: list[tuple[str, str]] = []
        self.blocks: list[tuple[str, int]] = []
        self.fixed: list[tuple[str, str]] = [(IMAGE, "they are the image's")]
        for node in architecture.nodes:
            self.outputs[node.name] = self._visit(node, self.outputs[node.inputs[0]])
        self.fixed.append((self.outputs[architecture.nodes[-1].name].maker, "they are the classes"))

    def find(self, maker: str) -> str:
        """The representative of a maker's group."""
        while self.parents[maker] != maker:
            maker = self.parents[maker]
        return maker

    def _visit(self, node: Node, channels: _Channels) -> _Channels:
        match node:
            case Conv() if node.is_depthwise(self.shapes[node.inputs[0]]):
                self.filters.append((channels.maker, node.name))
                self._collect("carried", node, channels)
            case Conv() | Dense():
                return self._make(node, channels)
            case GroupNorm():
                self.blocks.append((channels.maker, node.group_size))
                self._collect("carried", node, channels)
            case Norm():
                self._collect("carried", node, channels)
            case Flatten():
                _, height, width = self.shapes[node.inputs[0]]
                return _Channels(channels.maker, channels.repeat * height * width)
            case Add():
                self._join(channels, self.outputs[node.inputs[1]])
            case Standardise():
                self.fixed.append((channels.maker, f"{node.name!r} has a mean for each"))
            case _:
                pass
        return channels

    def _collect(self, kind: str, node: Node, channels: _Channels) -> None:
        for parameter in node.tensors(self.shapes[node.inputs[0]]):
            self.slots[kind].append((channels.maker, Slot(f"{node.name}.{parameter}", 0, channels.repeat)))

    def _make(self, node: Conv | Dense, channels: _Channels) -> _Channels:
        self.parents[node.name] = node.name
        own = _Channels(node.name, 1)
        self._collect("made", node, own)
        self.slots["consumed"].append((channels.maker, Slot(f"{node.name}.weight", 1, channels.repeat)))
        if isinstance(node, Conv) and node.groups > 1:
            reason = f"{node.name!r} is a convolution in {node.groups} groups"
            self.fixed += [(channels.maker, reason), (node.name, reason)]
        return own

    def _join(self, first: _Channels, second: _Channels) -> None:
        if first.repeat != second.repeat:
            reason = "features of different origin are added"
            self.fixed += [(first.maker, reason), (second.maker, reason)]
        roots = {self.find(first.maker), self.find(second.maker)}
        earlier = next(name for name in self.parents if name in roots)
        for root in roots:
            self.parents[root] = earlier

    def group(self, representative: str) -> ChannelGroup:
        """The record of one group."""

        def of_group(slots: list[tuple[str, Slot]]) -> tuple[Slot, ...]:
            return tuple(slot for maker, slot in slots if self.find(maker) == representative)

        makers = tuple(name for name in self.parents if self.find(name) == representative)
        reasons = [reason for maker, reason in self.fixed if self.find(maker) == representative]
        return ChannelGroup(
            size=self.shapes[makers[0]][0],
            makers=makers,
            filters=tuple(name for maker, name in self.filters if self.find(maker) == representative),
            made=of_group(self.slots["made"]),
            carried=of_group(self.slots["carried"]),
            consumed=of_group(self.slots["consumed"]),
            block=math.lcm(*(size for maker, size in self.blocks if self.find(maker) == representative)),
            fixed=reasons[0] if reasons else None,
        )


def channel_groups(architecture: Architecture) -> tuple[ChannelGroup, ...]:
    """All groups, in the order in which their first channels are made; the image's is the first."""
    groups = _Groups(architecture)
    return tuple(groups.group(name) for name in groups.parents if groups.find(name) == name)


def groups_by_node(architecture: Architecture) -> dict[str, ChannelGroup]:
    """The group that the channels of each node's output belong to, by the node's name; the image's is there too."""
    groups = _Groups(architecture)
    made = {name: groups.group(name) for name in groups.parents if groups.find(name) == name}
    return {name: made[groups.find(channels.maker)] for name, channels in groups.outputs.items()}


def resizable_groups(architecture: Architecture) -> tuple[ChannelGroup, ...]:
    """The groups whose number of channels can change."""
    return tuple(group for group in channel_groups(architecture) if group.fixed is None)


def group_made_by(architecture: Architecture, maker: str) -> ChannelGroup:
    """The group that a convolution or a dense layer makes; ValueError where its size cannot change."""
    groups = [group for group in channel_groups(architecture) if maker in group.makers]
    if not groups:
        makers = [name for group in resizable_groups(architecture) for name in group.makers]
        raise ValueError(f"node {maker!r} makes no channels; those that do and can change: {', '.join(makers)}")
    if groups[0].fixed is not None:
        raise ValueError(f"the channels of {maker!r} cannot change in number: {groups[0].fixed}")
    return groups[0]


def resized(architecture: Architecture, group: ChannelGroup, size: int) -> Architecture:
    """The architecture with `size` channels in that group."""
    changes: dict[str, dict[str, int]] = {name: {"channels": size, "groups": size} for name in group.filters}
    for name in group.makers:
        field = "units" if isinstance(architecture.node(name), Dense) else "channels"
        changes[name] = {field: size}
    return architecture.with_changed(changes)
