"""Which photos belong together: copies, near copies, and what the user says is one object.

Near copies are searched on the small grey pictures that intake keeps (``Photo.signature``).
Two of them are candidates when their coarse brightness patterns agree. They are confirmed when
their edges, which only agree where the content is aligned, agree far better than those of
either picture and of others of the same set: digits or icons resemble each other much more
than photos do.
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

CANDIDATE = 0.75
"""Least correlation of two pictures at 8x8. Correlation ignores brightness and contrast."""

SAME_PICTURE = 0.75
"""Least correlation of two pictures at 32x32."""

ALIKE_EDGES = 0.70
"""Least correlation of the edges of two pictures for them to be called alike."""

SURE_EDGES = 0.97
"""Correlation of edges that confirms a pair in any set."""

SMALL_SET = 500
SMALL_SET_EDGES = 0.93
"""The same in a set of at most so many pictures, where chance has fewer pairs to try."""

FAR_OUT = 15.0
"""How far beyond the median a pair must lie, in distances from the median to the 90th percentile.

Both on Fisher's scale (the inverse hyperbolic tangent of the correlation). Measured: copies of
photos drawn at 240 px, saved again as JPEG of quality 30, halved, doubled, brightened or darkened
by a quarter, lie at 25 and more; of 4,800 photos of tools, pairs at 13 and more are of one tool
from one place; of the 72 million pairs of 12,000 MNIST digits enlarged to 112 px, where nothing is
a copy, 47 pass.
"""

LEAST_OTHERS = 20
"""Other pictures needed to tell how much they differ."""

SAMPLE = 512
"""Other pictures a picture is compared with for it."""

MOST_ALIKE = 10_000
"""Alike pairs kept: a set of drawings has millions."""

LEAST_CONTRAST = 1.0
"""Standard deviation in grey levels below which a picture holds little but rounding."""

ASPECT = 1.1
"""Largest ratio of two aspect ratios: signatures are squashed to a square."""

_COARSE = 8
_BLOCK = 2048
_CROWDED = 0.002
"""Share of candidates in a block above which one matrix product is faster than pair by pair."""
_PART = 4096
"""Pairs compared at once: some 100 MB."""
_ROUNDING = 1e-4
"""Slack of a first pass whose sums run in another order than those that decide."""

View = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""What is compared of pictures: ``(N, 1024)`` grey values to ``(N, D)`` standardised values."""


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

    def joined(self, near: Sequence[Pair]) -> DuplicateGroups:
        """Return the groups with further near pairs that were confirmed elsewhere."""
        known = {(pair.a, pair.b) for pair in self.pairs}
        pairs = [*self.pairs, *(pair for pair in near if (pair.a, pair.b) not in known)]
        codes = connect(len(self.codes), [(pair.a, pair.b) for pair in pairs])
        return DuplicateGroups(codes, pairs, self.alike)


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
    values = [key(photo) for photo in photos]
    if len(set(values)) == len(values):
        return
    first: dict[str, int] = {}
    for index, value in enumerate(values):
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
    found = [
        _alike(grey, first[fits], second[fits])
        for first, second in _candidates(grey)
        if (fits := np.abs(aspect[first] - aspect[second]) <= np.log(ASPECT)).any()
    ]
    if not found:
        return [], []
    a, b, picture, edges = (np.concatenate(part) for part in zip(*found, strict=True))
    met = np.unique(np.concatenate((a, b)))
    # The sample goes by content, so that the order of files plays no part.
    by_content = sorted(range(len(chosen)), key=lambda place: photos[int(chosen[place])].pixels)
    least = np.ones(len(chosen), dtype=np.float32)
    least[met] = _least_edges(grey, met, np.array(by_content[:SAMPLE]))
    confirmed = edges >= np.maximum(least[a], least[b])
    pairs = [
        Pair(int(chosen[first]), int(chosen[second]), "near", score)
        for first, second, score in zip(a, b, picture.tolist(), strict=True)
    ]
    near = [pairs[place] for place in np.flatnonzero(confirmed)]
    return near, [pairs[place] for place in np.flatnonzero(~confirmed)[:MOST_ALIKE]]


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
            for view, least in ((_as_it_is, SAME_PICTURE), (_edges, ALIKE_EDGES)):
                if np.count_nonzero(close) > _CROWDED * close.size:
                    close &= view(grey[rows]) @ view(grey[columns]).T >= least - _ROUNDING
            a, b = np.nonzero(close)
            upper = a + start < b + other
            yield a[upper] + start, b[upper] + other


Scores = NDArray[np.float32]


def _alike(
    grey: NDArray[np.uint8], first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Scores, Scores]:
    """Return the pairs that are at least alike, with the correlations of picture and edges."""
    picture = _correlations(grey, first, second, _as_it_is)
    same = picture >= SAME_PICTURE
    a, b, picture = first[same], second[same], picture[same]
    edges = _correlations(grey, a, b, _edges)
    alike = edges >= ALIKE_EDGES
    return a[alike], b[alike], picture[alike], edges[alike]


def _correlations(
    grey: NDArray[np.uint8], a: NDArray[np.int64], b: NDArray[np.int64], view: View
) -> Scores:
    scores = np.empty(len(a), dtype=np.float32)
    for start in range(0, len(a), _PART):
        part = slice(start, start + _PART)
        scores[part] = (view(grey[a[part]]) * view(grey[b[part]])).sum(axis=1)
    return scores


def _least_edges(
    grey: NDArray[np.uint8], pictures: NDArray[np.int64], sample: NDArray[np.int64]
) -> Scores:
    """Return how well edges must agree with those of each picture to be no chance.

    Judged by how well those of others do that are not alike.
    """
    others = _edges(grey[sample])
    sure = SMALL_SET_EDGES if len(grey) <= SMALL_SET else SURE_EDGES
    least = np.empty(len(pictures), dtype=np.float32)
    for start in range(0, len(pictures), _BLOCK):
        part = slice(start, start + _BLOCK)
        scores = _edges(grey[pictures[part]]) @ others.T
        unlike = scores < ALIKE_EDGES
        fisher = np.where(unlike, np.arctanh(np.where(unlike, scores, 0)), np.nan)
        is_many = unlike.sum(axis=1) >= LEAST_OTHERS
        fisher[~is_many] = 0
        middle, far = np.nanpercentile(fisher, [50, 90], axis=1)
        beyond = np.tanh(middle + FAR_OUT * (far - middle))
        least[part] = np.where(is_many, beyond, sure)
    clipped: Scores = np.clip(least, ALIKE_EDGES, sure)
    return clipped


def _as_it_is(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _standardised(grey.astype(np.float32))


def _edges(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    square = grey.astype(np.float32).reshape(-1, SIGNATURE_SIZE, SIGNATURE_SIZE)
    down = np.diff(square, axis=1).reshape(len(grey), SIGNATURE_SIZE * (SIGNATURE_SIZE - 1))
    across = np.diff(square, axis=2).reshape(len(grey), SIGNATURE_SIZE * (SIGNATURE_SIZE - 1))
    return _standardised(np.concatenate((down, across), axis=1))


def _standardised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows whose products are correlations."""
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
