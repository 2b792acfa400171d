"""Near copies: which photos are one picture, resized, saved again, cropped, mirrored or turned.

Candidates are cheap and many: photos whose features are nearest, and photos whose small grey
pictures are, as they are and brought into one pose. Each is then confirmed by laying the one
picture on the other (:mod:`pegboard.alignment`), so that what only resembles is not reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegboard.alignment import (
    COARSE,
    FINE,
    Agreement,
    Indices,
    Placement,
    Values,
    align,
    in_pose,
    place,
    thumbnails,
)
from pegboard.audit.greys import Greys, Read
from pegboard.audit.pairing import best_first, pairs_told
from pegboard.budget import Budget
from pegboard.duplicates import connect, shared
from pegboard.nearest import neighbours
from pegboard.photos import Photo
from pegboard.progress import Progress

NEIGHBOURS = 6
"""Candidates of each photo by features, and by grey pictures.

Measured on 250 photos of tools among 4,800: cropped, re-compressed, mirrored and halved copies
are all among the 4 nearest by features; those turned by 90 degrees are the nearest by pose.
"""

LEAST_COSINE = 0.4
"""Least cosine of features. Of copies, 1 in 100 lies below 0.75 when cropped by a tenth, 0.63 by a
fifth, 0.72 of JPEG quality 30, 0.56 halved."""

LEAST_COARSE = 0.6
LEAST_COARSE_ALONE = 0.4
"""Least correlation at 8x8, with features at hand and without. Of copies cropped by a tenth, 1 in
100 lies below 0.63; of those cropped by a fifth, 1 in 10 below 0.4."""

LEAST_POSED = 0.8
"""The same for pictures brought into one pose, where nothing was cropped."""

LEAST_WHOLE = 0.9
"""Both among simple pictures, of which only copies of the whole are looked for."""

SIMPLE = 0.95
"""What edges must reach in a set, see :data:`FAR_OUT`, from which its pictures are simple.

Photos lie at 0.92 and less, handwritten digits at 0.98.
"""

LEAST_PLACED = 0.72
"""Least correlation at 16x16 in the best window; of 346 copies cropped by a tenth, 2 lie below
0.78 and none below 0.76."""

LEAST_EDGES = {FINE: 0.915, COARSE: 0.72}
"""Least correlation of edges by side of the pictures compared.

Measured at 64 px on photos of tools: 1,499 of 1,500 copies reach 0.93; of 7,025 candidates that
are no copies, shots of one scene with another tool among them, none exceeds 0.89. At 32 px on
CIFAR-10: the highest that is no copy is 0.69.
"""

LEAST_PARTS = 0.25
"""Least correlation in the worst tenth of the parts: one thing was exchanged below it."""

LEAST_TEXTURED = {FINE: 5, COARSE: 3}
"""Parts, of 64 and of 16, that must have something to compare."""

FAR_OUT = 4.0
"""How far beyond chance edges must agree, on Fisher's scale (inverse hyperbolic tangent).

In units of what one in ten pairs picked at random reaches: drawings, icons and digits resemble
each other far more than photos do.
"""

SAMPLE = 64
"""Photos compared with one another for it."""

LEAST_OTHERS = 20
"""Pairs of unlike photos needed to tell it."""

_UNLIKE = 0.7
_AMBIGUOUS = 0.06
_BATCH = 1024
_STEPS = 7

Pairs = NDArray[np.int64]
"""``(P, 2)`` indices of photos, every pair once, the smaller first."""


LYING = frozenset((2, 3, 6, 7))
"""Poses in which width and height change places."""


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two photos that are nearly copies, by index; ``first < second``.

    Attributes
    ----------
    score
        Correlation of their edges, 0 to 1.
    pose
        Index in :data:`pegboard.alignment.POSES` of how one is turned into the other.
    first_shown, second_shown
        Share of each photo that the other shows too.
    scale
        Pixels of the second photo for one of the first, across and down.
    gain, offset
        Contrast of the second over that of the first, and how much brighter it is in grey levels.
    """

    first: int
    second: int
    score: float
    pose: int = 0
    first_shown: float = 1.0
    second_shown: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    gain: float = 1.0
    offset: float = 0.0

    def reversed(self) -> NearPair:
        """Return the same pair told from the other photo; ``first > second`` then."""
        across, down = (1 / ratio for ratio in self.scale)
        return NearPair(
            first=self.second,
            second=self.first,
            score=self.score,
            pose=self.pose,
            first_shown=self.second_shown,
            second_shown=self.first_shown,
            scale=(down, across) if self.pose in LYING else (across, down),
            gain=1 / self.gain,
            offset=-self.offset,
        )


@dataclass(frozen=True)
class Likeness:
    """What is nearly a copy of what.

    Attributes
    ----------
    pairs
        Confirmed pairs. One photo, the first, stands for all of equal pixels.
    compared
        Candidates looked at.
    least_edges
        By side, what the edges of a pair had to reach here.
    missed
        In a sentence, what may have been missed and why; empty where nothing.
    """

    pairs: Sequence[NearPair]
    compared: int
    least_edges: Mapping[int, float]
    missed: str = ""


def near_copies(
    photos: Sequence[Photo],
    read: Read,
    *,
    features: NDArray[np.float32] | None = None,
    known: Sequence[tuple[int, int]] = (),
    threads: int | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Likeness:
    """Find near copies among photos that are not equal.

    Parameters
    ----------
    photos
        ``N`` photos.
    read
        Called from several threads for photos that have a candidate, and small ones.
    features
        ``(N, D)`` of any backbone. Without them heavily cropped copies may be missed.
    known
        Pairs to compare in any case.
    threads
        For decoding.

    Raises
    ------
    BudgetSpent
        When time runs out.
    """
    budget, progress = budget or Budget(), progress or Progress()
    greys = Greys(photos, read, threads=threads, budget=budget)
    judge = _Judge(greys, budget, progress)
    wanted = _WHOLE if judge.are_simple() else _wanted(features)
    candidates = _candidates(greys, wanted, known, budget)
    found = judge.confirmed(candidates)
    unseen = _unseen(photos, found, candidates)
    found += judge.confirmed(unseen)
    return Likeness(
        sorted(found, key=lambda pair: (pair.first, pair.second)),
        len(candidates) + len(unseen),
        {side: float(np.tanh(least)) for side, least in judge.least.items()},
    )


def _unseen(photos: Sequence[Photo], found: Sequence[NearPair], seen: Pairs) -> Pairs:
    """Return the pairs of every group that were no candidates."""
    groups = shared(connect(len(photos), [(pair.first, pair.second) for pair in found]))
    told = {
        (min(pair), max(pair)) for group in groups for pair in pairs_told(best_first(photos, group))
    }
    return _as_pairs(told - set(map(tuple, seen.tolist())))


def _as_pairs(pairs: set[tuple[int, int]]) -> Pairs:
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


# --- Candidates --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """What to look for: features to go by, how much alike grey pictures must be, how many."""

    features: Values | None = None
    coarse: float = LEAST_COARSE
    posed: float = LEAST_POSED
    count: int = NEIGHBOURS


_WHOLE = _Wanted(None, LEAST_WHOLE, LEAST_WHOLE, 2)


def _wanted(features: Values | None) -> _Wanted:
    return _Wanted(features, LEAST_COARSE_ALONE if features is None else LEAST_COARSE)


def _candidates(
    greys: Greys,
    wanted: _Wanted,
    known: Sequence[tuple[int, int]],
    budget: Budget,
) -> Pairs:
    chosen = greys.chosen
    found = [np.array(known, np.int64).reshape(-1, 2)]
    if wanted.features is not None:
        found.append(_near(wanted.features[chosen], chosen, wanted.count, LEAST_COSINE, budget))
    coarse = thumbnails(greys.signatures, 8)
    found.append(_near(coarse, chosen, wanted.count, wanted.coarse, budget, centred=False))
    posed, owners = in_one_pose(coarse)
    found.append(_near(posed, chosen[owners], wanted.count, wanted.posed, budget, centred=False))
    # One photo stands for all of equal pixels, and none is compared that holds nothing.
    pairs = greys.representative[np.concatenate(found)]
    pairs = np.sort(pairs[(pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])], axis=1)
    unique: Pairs = np.unique(pairs, axis=0)
    return unique


def _near(
    vectors: Values,
    owners: Indices,
    count: int,
    least: float,
    budget: Budget,
    *,
    centred: bool = True,
) -> Pairs:
    first, second, _ = neighbours(vectors, count, least=least, centred=centred, budget=budget)
    return np.stack((owners[first], owners[second]), axis=1)


def in_one_pose(coarse: Values) -> tuple[Values, Indices]:
    """Bring small pictures into the pose in which the upper left is brightest.

    So copies that were turned or mirrored come out alike. Where two poses are nearly as good,
    both are given.

    Parameters
    ----------
    coarse
        ``(N, S * S)`` standardised.

    Returns
    -------
    ``(M, S * S)`` pictures and ``(M,)`` which of the ``N`` each is of.
    """
    side = int(coarse.shape[1] ** 0.5)
    pictures = coarse.reshape(-1, side, side)
    ramp = np.linspace(1, -1, side, dtype=np.float32)
    ramp /= np.linalg.norm(ramp) * side**0.5
    out, owners = [], []
    for pose in range(8):
        turned = in_pose(pictures, pose)
        down, right = (turned.sum(axis=axis) @ ramp for axis in (2, 1))
        fits = (down >= -_AMBIGUOUS) & (right >= -_AMBIGUOUS) & (down - right >= -_AMBIGUOUS)
        out.append(turned[fits].reshape(-1, coarse.shape[1]))
        owners.append(np.flatnonzero(fits))
    return np.concatenate(out), np.concatenate(owners)


# --- Confirmation ------------------------------------------------------------------------


class _Judge:
    """Lays pictures on one another and says which are one."""

    def __init__(self, greys: Greys, budget: Budget, progress: Progress) -> None:
        self.least: dict[int, float] = {}
        self._greys = greys
        self._budget = budget
        self._progress = progress

    def confirmed(self, pairs: Pairs) -> list[NearPair]:
        """Return the pairs that are nearly copies."""
        found: list[NearPair] = []
        with self._progress.step("comparing photos", len(pairs)) as step:
            for start in range(0, len(pairs), _BATCH):
                self._budget.check()
                batch = self._by_content(pairs[start : start + _BATCH])
                found += self._confirmed(batch)
                step.advance(len(batch))
        return found

    def _by_content(self, pairs: Pairs) -> Pairs:
        """Order each pair so that the order of the files plays no part."""
        photos = self._greys.photos
        later = [photos[first].pixels > photos[second].pixels for first, second in pairs.tolist()]
        ordered: Pairs = np.where(np.array(later, bool)[:, None], pairs[:, ::-1], pairs)
        return ordered

    def _confirmed(self, pairs: Pairs) -> Iterator[NearPair]:
        pairs, placed = self._likely(pairs)
        sides = np.array([self._greys.side(*pair) for pair in pairs.tolist()])
        for side in (FINE, COARSE):
            chosen = np.flatnonzero(sides == side)
            if len(chosen):
                yield from self._confirmed_at(side, pairs[chosen], placed.of(chosen))

    def _confirmed_at(self, side: int, pairs: Pairs, placed: Placement) -> Iterator[NearPair]:
        placed, fit = self._aligned(side, pairs, placed)
        sure = (
            (_fisher(fit.edges) >= self._least_edges(side))
            & (fit.parts >= LEAST_PARTS)
            & (fit.textured >= LEAST_TEXTURED[side])
        )
        for number in np.flatnonzero(sure).tolist():
            first, second = pairs[number].tolist()
            yield _told(self._greys.photos, first, second, placed, fit, number)

    def _likely(self, pairs: Pairs) -> tuple[Pairs, Placement]:
        """Return the pairs that fit coarsely, the photo that shows more as the first."""
        placed = self._placed(pairs)
        likely = placed.scores >= LEAST_PLACED
        pairs, placed = pairs[likely], placed.of(likely)
        # Laid on the larger one, the part is shrunk; the other way the whole would be enlarged,
        # and its edges blurred.
        is_part = placed.windows[:, 1] * placed.windows[:, 3] < 1
        pairs = np.where(is_part[:, None], pairs[:, ::-1], pairs)
        placed.put(is_part, self._placed(pairs[is_part]))
        return pairs, placed

    def _placed(self, pairs: Pairs) -> Placement:
        return place(self._greys.coarse(pairs[:, 0]), self._greys.coarse(pairs[:, 1]))

    def _aligned(self, side: int, pairs: Pairs, placed: Placement) -> tuple[Placement, Agreement]:
        return align(self._greys.at(pairs[:, 0], side), self._greys.at(pairs[:, 1], side), placed)

    def are_simple(self) -> bool:
        """Whether the pictures resemble each other so much that only whole ones can be told."""
        sides = {self._greys.side(index) for index in self._greys.chosen.tolist()}
        return any(np.tanh(self._least_edges(side)) >= SIMPLE for side in sides)

    def _least_edges(self, side: int) -> float:
        """Return what edges must reach, on Fisher's scale, among pictures of this side."""
        if side not in self.least:
            self.least[side] = max(float(np.arctanh(LEAST_EDGES[side])), self._by_chance(side))
        return self.least[side]

    def _by_chance(self, side: int) -> float:
        """Return ``FAR_OUT`` of what edges reach that have nothing to do with one another."""
        photos = self._greys.photos
        able = [index for index in self._greys.chosen.tolist() if self._greys.side(index) >= side]
        sample = sorted(able, key=lambda index: photos[index].pixels)[:SAMPLE]
        pairs = self._by_content(
            _as_pairs(
                {
                    (min(one, other), max(one, other))
                    for step in range(1, _STEPS)
                    for one, other in zip(sample, sample[step:] + sample[:step], strict=True)
                    if one != other
                }
            )
        )
        if len(pairs) < LEAST_OTHERS:
            return 0.0
        _, fit = self._aligned(side, pairs, self._placed(pairs))
        unlike = fit.edges[fit.edges < _UNLIKE]
        if len(unlike) < LEAST_OTHERS:
            return 0.0
        return FAR_OUT * float(np.arctanh(np.percentile(unlike, 90)))


def _fisher(correlations: Values) -> Values:
    transformed: Values = np.arctanh(np.clip(correlations, -0.9999, 0.9999))
    return transformed


def _told(
    photos: Sequence[Photo], first: int, second: int, placed: Placement, fit: Agreement, at: int
) -> NearPair:
    top, height, left, width = placed.windows[at].tolist()
    down, across = _overlap(top, height), _overlap(left, width)
    pose = int(placed.poses[at])
    one, other = photos[first], photos[second]
    high, wide = other.height, other.width
    if pose in LYING:
        high, wide = wide, high
    pair = NearPair(
        first=first,
        second=second,
        score=float(np.clip(fit.edges[at], 0, 1)),
        pose=pose,
        first_shown=down / height * across / width,
        second_shown=down * across,
        scale=(width * wide / one.width, height * high / one.height),
        gain=float(fit.gain[at]),
        offset=float(fit.offset[at]),
    )
    return pair if first < second else pair.reversed()


def _overlap(start: float, length: float) -> float:
    """Return how much of 0 to 1 an interval covers."""
    return max(0.0, min(1.0, start + length) - max(0.0, start))
