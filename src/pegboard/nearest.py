"""Nearest neighbours among many vectors, without comparing all pairs.

Vectors are shortened by principal components; above :data:`ALL_PAIRS` of them an inverted file
(Sivic and Zisserman 2003; Jegou, Douze and Schmid 2011) compares each only with those that lie
near the same few centres. The same vectors give the same neighbours, whatever the number of
threads. On 100,000 vectors it takes about as long as the libraries for it; see
``benchmarks/near_duplicates.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pegboard.budget import Budget

Vectors = NDArray[np.float32]
Indices = NDArray[np.int64]

ALL_PAIRS = 16_384
"""Vectors up to which every pair is compared: a few seconds."""

AS_THEY_ARE = 2_048
"""Vectors up to which they are not shortened: it would save nothing."""

SHORT = 128
"""Principal components kept for the search; what it finds is compared in full length."""

PROBES = 16
"""Centres near which a vector's neighbours are looked for.

Measured on 100,000 vectors of 1,280 with planted pairs: no more are found with 32.
"""

_ROUNDS = 6
_SAMPLE = 8_192
_PER_CENTRE = 32
_CELLS = 1 << 23
"""Scores held at once: 32 MiB."""


def neighbours(
    vectors: Vectors,
    count: int,
    *,
    least: float = -1.0,
    centred: bool = True,
    budget: Budget | None = None,
) -> tuple[Indices, Indices, Vectors]:
    """Pair every vector with those nearest to it.

    Parameters
    ----------
    vectors
        ``(N, D)``.
    count
        Neighbours of each vector, at most.
    least
        Least cosine of a pair.
    centred
        Take the mean of all vectors as origin: features of photos all point one way.
    budget
        Looked at between steps.

    Returns
    -------
    ``(P,)`` index of the first and of the second vector of each pair, ``first < second``, every
    pair once and in order, and ``(P,)`` their cosines.

    Raises
    ------
    BudgetSpent
        When time runs out.
    """
    budget = budget or Budget()
    if len(vectors) < 2 or count < 1:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    mean = np.zeros(vectors.shape[1], np.float32)
    if centred:
        mean += vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    short = _shortened(vectors, mean)
    best = _Best(len(vectors), min(count, len(vectors) - 1))
    for queries, members in _blocks(short):
        budget.check()
        best.offer(queries, members, short[queries] @ short[members].T)
    first, second = best.pairs()
    cosines = _cosines(vectors, mean, first, second)
    near = cosines >= least
    return first[near], second[near], cosines[near]


class _Best:
    """The best neighbours of every vector so far."""

    def __init__(self, vectors: int, count: int) -> None:
        self.scores = np.full((vectors, count), -np.inf, np.float32)
        self.indices = np.full((vectors, count), -1, np.int64)

    def offer(self, queries: Indices, members: Indices, scores: Vectors) -> None:
        """Take in ``(Q, M)`` scores of queries with members."""
        count = self.scores.shape[1]
        # A vector is no neighbour of its own.
        place = np.searchsorted(members, queries)
        place[place == len(members)] = 0
        itself = np.flatnonzero(members[place] == queries)
        scores[itself, place[itself]] = -np.inf
        top = _top(scores, count)
        offered = np.concatenate((self.scores[queries], np.take_along_axis(scores, top, 1)), 1)
        known = np.concatenate((self.indices[queries], members[top]), 1)
        kept = _top(offered, count)
        self.scores[queries] = np.take_along_axis(offered, kept, 1)
        self.indices[queries] = np.take_along_axis(known, kept, 1)

    def pairs(self) -> tuple[Indices, Indices]:
        """Return every pair once, ``first < second``, in order."""
        vectors, count = self.scores.shape
        one = np.repeat(np.arange(vectors), count)
        other = self.indices.ravel()
        met = np.isfinite(self.scores.ravel())
        one, other = one[met], other[met]
        codes = np.unique(np.minimum(one, other) * vectors + np.maximum(one, other))
        return codes // vectors, codes % vectors


def _top(scores: Vectors, count: int) -> Indices:
    """Return ``(Q, count)`` places of the highest scores of every row, in no order."""
    if scores.shape[1] <= count:
        places: Indices = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        return places
    return np.argpartition(scores, -count, axis=1)[:, -count:]


def _shortened(vectors: Vectors, mean: Vectors) -> Vectors:
    """Return ``(N, at most SHORT)`` vectors of length 1 with nearly the same cosines."""
    axes = None
    if len(vectors) > AS_THEY_ARE and vectors.shape[1] > SHORT:
        sample = _unit(vectors[:: -(-len(vectors) // _SAMPLE)] - mean)
        axes = np.linalg.eigh(sample.T @ sample)[1][:, -SHORT:]
    parts = []
    for start in range(0, len(vectors), _SAMPLE):
        part = _unit(vectors[start : start + _SAMPLE] - mean)
        parts.append(part if axes is None else _unit(part @ axes))
    return np.concatenate(parts)


def _unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = rows / np.maximum(lengths, 1e-6)
    return unit


def _cosines(vectors: Vectors, mean: Vectors, first: Indices, second: Indices) -> Vectors:
    cosines = np.empty(len(first), np.float32)
    for start in range(0, len(first), _SAMPLE):
        part = slice(start, start + _SAMPLE)
        one, other = _unit(vectors[first[part]] - mean), _unit(vectors[second[part]] - mean)
        cosines[part] = np.einsum("pd,pd->p", one, other)
    return cosines


def _blocks(short: Vectors) -> Iterator[tuple[Indices, Indices]]:
    """Yield which vectors to compare with which; both sorted."""
    everything = np.arange(len(short))
    lists = [(everything, everything)] if len(short) <= ALL_PAIRS else _lists(short)
    for queries, members in lists:
        rows = max(1, _CELLS // max(1, len(members)))
        for start in range(0, len(queries), rows):
            yield queries[start : start + rows], members


def _lists(short: Vectors) -> Iterator[tuple[Indices, Indices]]:
    """Yield, for each centre, who looks for neighbours there, and who lies there."""
    centres = _centres(short)
    closest = np.concatenate(
        [
            _descending(short[start : start + _SAMPLE] @ centres.T, PROBES)
            for start in range(0, len(short), _SAMPLE)
        ]
    )
    looking = _by_value(closest.ravel(), len(centres))
    lying = _by_value(closest[:, 0], len(centres))
    for visits, members in zip(looking, lying, strict=True):
        if len(members):
            yield visits // PROBES, members


def _descending(scores: Vectors, count: int) -> Indices:
    top = _top(scores, count)
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.take_along_axis(top, order, 1)


def _by_value(values: Indices, count: int) -> list[Indices]:
    """Return the places of each value 0 to ``count - 1``, in order."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.cumsum(np.bincount(values, minlength=count))[:-1])


def _centres(short: Vectors) -> Vectors:
    """Return some ``2 sqrt(N)`` centres (spherical k-means on a sample)."""
    count = max(PROBES, 2 * int(len(short) ** 0.5))
    sample = short[:: max(1, len(short) // (count * _PER_CENTRE))]
    centres = sample[:: len(sample) // count][:count]
    for _ in range(_ROUNDS):
        nearest = np.argmax(sample @ centres.T, axis=1)
        order = np.argsort(nearest, kind="stable")
        used, starts = np.unique(nearest[order], return_index=True)
        moved = centres.copy()
        moved[used] = np.add.reduceat(sample[order], starts, axis=0)
        centres = _unit(moved)
    return centres
