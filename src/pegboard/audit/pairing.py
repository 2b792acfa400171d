"""Which pairs of a group of photos are told: all of a small group, of a large one a chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from pegboard.photos import Photo

LARGE = 20
"""Photos above which a group is told with one row per photo: 21 photos have 210 pairs."""


def pairs_told(group: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs ``(first, later)`` of a group; above :data:`LARGE`, each against the first."""
    if len(group) <= LARGE:
        yield from combinations(group, 2)
    else:
        yield from ((group[0], other) for other in group[1:])


def best_first(photos: Sequence[Photo], group: Sequence[int]) -> list[int]:
    """Return a group's photos, those of most pixels first, among equals in their order."""
    return sorted(group, key=lambda index: (-photos[index].width * photos[index].height, index))
