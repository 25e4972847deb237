"""Nodes of trees that were read before: they never change, and every proof of a large log needs the upper ones.

With them a proof of a million events costs no more reads than one of a thousand.
"""

from collections.abc import Sequence

from domain.tree_nodes import Group, NodeGroup, group_bytes

MOST_GROUPS = 8_192
"""About 10 MB; the groups above the leaves of two million events."""

_Place = tuple[str, Group, int]
"""A log, a group, and how long its nodes were: at the end of a log, a group fills up."""


class KeptNodes:
    """Groups above the leaves; those of one log are forgotten when they turn out not to fit it."""

    def __init__(self) -> None:
        self._kept: dict[_Place, NodeGroup] = {}

    def known(self, project: str, groups: Sequence[Group], size: int) -> dict[Group, NodeGroup]:
        """Those of the groups that were read before, as a log of this size has them."""
        found = {}
        for group in groups:
            kept = self._kept.get((project, group, group_bytes(group, size)))
            if kept is not None:
                found[group] = kept
        return found

    def keep(
        self, project: str, groups: Sequence[Group], read: Sequence[bytes], size: int
    ) -> dict[Group, NodeGroup]:
        """Groups as they were read of a log of this size; those that are whole are kept."""
        found = {group: NodeGroup(nodes) for group, nodes in zip(groups, read, strict=True)}
        for group, nodes in found.items():
            length = group_bytes(group, size)
            # A full group may be read with more nodes than an older size had: never with fewer.
            if group[0] > 0 and len(nodes.nodes) == length:
                if len(self._kept) >= MOST_GROUPS:
                    self._kept = {}
                self._kept[project, group, length] = nodes
        return found

    def forget(self, project: str) -> None:
        """Read the nodes of a log anew: its database may have been put back to an earlier state."""
        self._kept = {place: nodes for place, nodes in self._kept.items() if place[0] != project}
