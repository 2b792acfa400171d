"""Photos shared between splits: found, and told in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pegboard.duplicates import DuplicateGroups, Kind, Pair
from pegboard.photos import Photo, SplitName

Splits = Sequence[SplitName | None]
"""The split of every photo, None for photos that have none (yet)."""

LISTED = 10
"""Leaking pairs named in a message."""

_KINDS: dict[Kind, str] = {
    "file": "equal files",
    "pixels": "equal pixels",
    "near": "nearly equal",
    "group": "same group",
}


def leaking_pairs(photos: Sequence[Photo], groups: DuplicateGroups, splits: Splits) -> list[Pair]:
    """Return pairs of photos that belong together and lie in two splits.

    Of equal photos, every one is paired with the first of another split; of near duplicates
    and of the user's groups, one pair stands for each pair of splits.
    """
    found: dict[tuple[int, int], Pair] = {}
    for pair in (
        *_crossing(photos, splits, lambda photo: photo.sha256, "file"),
        *_crossing(photos, splits, lambda photo: photo.pixels, "pixels"),
        *_crossing_near(photos, groups.pairs, splits),
        *_crossing(photos, splits, lambda photo: photo.group, "group"),
    ):
        found.setdefault((pair.a, pair.b), pair)
    return list(found.values())


def alike_across(photos: Sequence[Photo], groups: DuplicateGroups, splits: Splits) -> list[Pair]:
    """Return pairs in two splits that look alike, not enough to be called duplicates."""
    return list(_crossing_near(photos, groups.alike, splits))


def describe_leaks(
    photos: Sequence[Photo], pairs: Sequence[Pair], splits: Splits, *, most: int | None = None
) -> list[str]:
    """Say each pair in words; those over ``most`` only as a number."""

    def told(index: int) -> str:
        return f"{photos[index].path} ({splits[index]})"

    lines = [f"{told(pair.a)} and {told(pair.b)}: {_KINDS[pair.kind]}" for pair in pairs[:most]]
    if len(pairs) > len(lines):
        lines.append(f"and {len(pairs) - len(lines)} more")
    return lines


def _crossing(
    photos: Sequence[Photo], splits: Splits, key: Callable[[Photo], str | None], kind: Kind
) -> Iterator[Pair]:
    """Yield photos of one key in two splits."""
    # By key: the first photo of each split.
    first: dict[str, dict[SplitName, int]] = {}
    for index, (photo, split) in enumerate(zip(photos, splits, strict=True)):
        value = key(photo)
        if split is None or value is None:
            continue
        met = first.setdefault(value, {})
        if split not in met or kind != "group":
            other = next((at for name, at in met.items() if name != split), None)
            if other is not None:
                yield Pair(other, index, kind, 1.0)
        met.setdefault(split, index)


def _crossing_near(
    photos: Sequence[Photo], pairs: Sequence[Pair], splits: Splits
) -> Iterator[Pair]:
    """Yield near pairs across splits; a pair speaks for all photos of the same pixels."""
    near = [pair for pair in pairs if pair.kind == "near"]
    wanted = {photos[index].pixels for pair in near for index in (pair.a, pair.b)}
    places: dict[str, dict[SplitName, int]] = {pixels: {} for pixels in wanted}
    for index, (photo, split) in enumerate(zip(photos, splits, strict=True)):
        if split is not None and photo.pixels in places:
            places[photo.pixels].setdefault(split, index)
    for pair in near:
        for split, a in places[photos[pair.a].pixels].items():
            for other, b in places[photos[pair.b].pixels].items():
                if split != other:
                    yield Pair(min(a, b), max(a, b), "near", pair.score)
