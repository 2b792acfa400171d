"""Which photos belong together: copies, near copies, and what the user says is one object.

Near copies are searched on the small grey pictures that intake keeps (``Photo.signature``).
Two of them are candidates when their coarse brightness patterns agree, and confirmed only when
both the pictures and their edges agree pixel by pixel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pegboard.images import SIGNATURE_SIZE
from pegboard.photos import Photo

Kind = Literal["file", "pixels", "near", "group"]

CANDIDATE = 0.85
"""Least correlation of two pictures at 8x8: cheap, and below every true pair met."""

SAME_PICTURE = 0.90
"""Least correlation of two pictures at 32x32. Correlation ignores brightness and contrast."""

SAME_EDGES = 0.94
"""Least correlation of their edges, which only agree when the content is aligned.

Measured on 4,800 photos of 15 tools: copies saved again as JPEG of quality 10 or more, halved,
brightened or darkened by a quarter agree to .956 and more. On 3,000 MNIST digits enlarged to
112 px, where nothing is a copy, 5 pairs pass; with .90 it would be 55, with .70 a tenth of all
digits would hang together in one group.
"""

ALIKE_EDGES = 0.70
"""Pairs between this and :data:`SAME_EDGES` are alike, which is worth a warning, no more."""

MOST_ALIKE = 10_000
"""Alike pairs kept: a set of drawings has millions."""

LEAST_CONTRAST = 6.0
"""Standard deviation in grey levels below which a picture is too even to be told apart."""

ASPECT = 1.1
"""Largest ratio of two aspect ratios: signatures are squashed to a square."""

_COARSE = 8
_BLOCK = 2048
_CROWDED = 0.01
"""Share of candidates in a block above which one matrix product is faster than pair by pair."""
_PART = 4096
"""Pairs compared at once: some 50 MB."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos that belong together, by index (``a < b``); ``score`` is 1 for copies."""

    a: int
    b: int
    kind: Kind
    score: float


@dataclass(frozen=True)
class DuplicateGroups:
    """Groups of photos that must stay together.

    Attributes
    ----------
    codes
        ``(N,)`` group number of each photo; photos of no group have one of their own.
    pairs
        Why: enough pairs to connect every group, and every confirmed near pair. One photo
        stands for all of equal pixels.
    alike
        Pairs too much alike for chance and not enough to be sure; not grouped. At most
        :data:`MOST_ALIKE`.
    """

    codes: NDArray[np.int64]
    pairs: Sequence[Pair]
    alike: Sequence[Pair] = ()


def duplicate_groups(photos: Sequence[Photo]) -> DuplicateGroups:
    """Group photos that are equal, nearly equal, or in one group of the user's.

    Groups are transitive: if a is a copy of b and b nearly a copy of c, all three are one.
    """
    near, alike = near_pairs(photos)
    pairs = [
        *_equal(photos, lambda photo: photo.sha256, "file"),
        *(
            pair
            for pair in _equal(photos, lambda photo: photo.pixels, "pixels")
            if photos[pair.a].sha256 != photos[pair.b].sha256
        ),
        *_equal(photos, lambda photo: photo.group, "group"),
        *near,
    ]
    codes = connect(len(photos), [(pair.a, pair.b) for pair in pairs])
    return DuplicateGroups(codes, pairs, alike)


def connect(count: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Return ``(count,)`` component numbers of an undirected graph."""
    if not edges:
        return np.arange(count)
    from scipy.sparse import coo_matrix  # noqa: PLC0415
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    a, b = np.array(edges).T
    graph = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(count, count))
    codes: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return codes


def _equal(
    photos: Sequence[Photo], key: Callable[[Photo], str | None], kind: Kind
) -> Iterator[Pair]:
    """Yield the first photo of each key paired with every further one."""
    first: dict[str, int] = {}
    for index, photo in enumerate(photos):
        value = key(photo)
        if value is None:
            continue
        earlier = first.setdefault(value, index)
        if earlier != index:
            yield Pair(earlier, index, kind, 1.0)


def near_pairs(photos: Sequence[Photo]) -> tuple[list[Pair], list[Pair]]:
    """Find near duplicates among photos of at least 64 px that are not equal.

    Returns
    -------
    Confirmed pairs, and at most :data:`MOST_ALIKE` pairs that are only alike.
    """
    chosen, grey, aspect = _pictures(photos)
    near: list[Pair] = []
    alike: list[Pair] = []
    for first, second in _candidates(grey):
        fits = np.abs(aspect[first] - aspect[second]) <= np.log(ASPECT)
        for a, b, picture, edges in _agreeing(grey, first[fits], second[fits]):
            pair = Pair(int(chosen[a]), int(chosen[b]), "near", picture)
            if edges >= SAME_EDGES:
                near.append(pair)
            elif len(alike) < MOST_ALIKE:
                alike.append(pair)
    return near, alike


def _pictures(
    photos: Sequence[Photo],
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float64]]:
    """Return index, signature and log aspect ratio of one photo per distinct pixels.

    Without those too even to be told apart.
    """
    seen: dict[str, int] = {}
    for index, photo in enumerate(photos):
        if photo.signature is not None:
            seen.setdefault(photo.pixels, index)
    chosen = np.fromiter(seen.values(), np.int64, len(seen))
    signatures = b"".join(photos[index].signature or b"" for index in chosen)
    grey = np.frombuffer(signatures, np.uint8).reshape(-1, SIGNATURE_SIZE**2)
    aspect = np.array([np.log(photos[i].width / photos[i].height) for i in chosen])
    enough = grey.std(axis=1, dtype=np.float32) >= LEAST_CONTRAST
    return chosen[enough], grey[enough], aspect[enough]


def _candidates(
    grey: NDArray[np.uint8],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield index pairs (a < b) whose coarse pictures agree, block by block."""
    side, cell = _COARSE, SIGNATURE_SIZE // _COARSE
    coarse = grey.reshape(-1, side, cell, side, cell).mean(axis=(2, 4), dtype=np.float32)
    coarse = _standardised(coarse.reshape(len(grey), side * side))
    for start in range(0, len(coarse), _BLOCK):
        for other in range(start, len(coarse), _BLOCK):
            rows, columns = slice(start, start + _BLOCK), slice(other, other + _BLOCK)
            close = coarse[rows] @ coarse[columns].T >= CANDIDATE
            if np.count_nonzero(close) > _CROWDED * close.size:
                fine = _standardised(grey[rows].astype(np.float32))
                close &= fine @ _standardised(grey[columns].astype(np.float32)).T >= SAME_PICTURE
            a, b = np.nonzero(close)
            upper = a + start < b + other
            yield a[upper] + start, b[upper] + other


def _agreeing(
    grey: NDArray[np.uint8], first: NDArray[np.int64], second: NDArray[np.int64]
) -> Iterator[tuple[int, int, float, float]]:
    """Yield pairs at least alike, with the correlations of their pictures and of their edges."""
    for start in range(0, len(first), _PART):
        a, b = first[start : start + _PART], second[start : start + _PART]
        picture = _correlation(grey[a].astype(np.float32), grey[b].astype(np.float32))
        same = picture >= SAME_PICTURE
        a, b, picture = a[same], b[same], picture[same]
        edges = _correlation(_edges(grey[a]), _edges(grey[b]))
        for place in np.flatnonzero(edges >= ALIKE_EDGES):
            yield int(a[place]), int(b[place]), float(picture[place]), float(edges[place])


def _edges(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    square = grey.astype(np.float32).reshape(-1, SIGNATURE_SIZE, SIGNATURE_SIZE)
    down = np.diff(square, axis=1).reshape(len(grey), SIGNATURE_SIZE * (SIGNATURE_SIZE - 1))
    across = np.diff(square, axis=2).reshape(len(grey), SIGNATURE_SIZE * (SIGNATURE_SIZE - 1))
    return np.concatenate((down, across), axis=1)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    product: NDArray[np.float32] = (_standardised(first) * _standardised(second)).sum(axis=1)
    return product


def _standardised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    standardised: NDArray[np.float32] = (centred / np.maximum(norm, 1e-6)).astype(np.float32)
    return standardised


def members(codes: NDArray[np.int64]) -> list[list[int]]:
    """Return the photos of every group, groups in order of their first photo."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, code in enumerate(codes.tolist()):
        groups[code].append(index)
    return list(groups.values())


def shared(codes: NDArray[np.int64]) -> list[list[int]]:
    """Return the photos of every group of two and more, as :func:`members`."""
    together = np.flatnonzero(np.bincount(codes)[codes] > 1)
    return [together[group].tolist() for group in members(codes[together])]
