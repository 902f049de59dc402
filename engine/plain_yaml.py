"""YAML as plain data and no more of it than was written: nothing is executed, and no few lines become a heap."""

from __future__ import annotations

import yaml

__all__ = ["PlainLoader"]

_MAX_NODES = 10_000


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader with a limit.

    What is written once counts as often as it is referred to, and nothing may refer to itself: either is a
    `yaml.composer.ComposerError`.

    Parameters
    ----------
    stream : str or file
        As PyYAML takes it.
    """

    def __init__(self, stream: object) -> None:
        super().__init__(stream)  # type: ignore[arg-type]
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node; PyYAML calls it."""
        is_reference = self.check_event(yaml.AliasEvent)
        node: yaml.Node | None = super().compose_node(parent, index)
        if node is not None and node not in self._sizes:
            if is_reference:
                raise yaml.composer.ComposerError(None, None, "a value refers to itself", node.start_mark)
            self._sizes[node] = self._size(node)
        return node

    def _size(self, node: yaml.Node) -> int:
        if not isinstance(node, yaml.CollectionNode):
            return 1
        is_mapping = isinstance(node, yaml.MappingNode)
        inner = [each for pair in node.value for each in pair] if is_mapping else node.value
        size = 1 + sum(self._sizes[each] for each in inner)
        if size > _MAX_NODES:
            said = f"more than {_MAX_NODES} values, and those count again that are referred to"
            raise yaml.composer.ComposerError(None, None, said, node.start_mark)
        return size
