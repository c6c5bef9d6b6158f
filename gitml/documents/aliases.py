"""What the aliases of a YAML document come to: a small file can stand for gigabytes, or no end."""

from __future__ import annotations

from typing import Any


def is_small(node: Any, most: int, levels: int) -> bool:
    """Whether a composed document has few enough values and levels with its aliases written out.

    Depth first, so that it takes no more time and memory than a document at the limits.
    """
    waiting, seen = [(node, 1)], 0
    while waiting:
        node, level = waiting.pop()
        seen += 1
        if seen > most or level > levels + 1:
            return False
        for child in node.value if isinstance(node.value, list) else ():
            parts = child if isinstance(child, tuple) else (child,)  # a key and its value
            waiting += [(part, level + 1) for part in parts]
    return True
