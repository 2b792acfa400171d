"""Laying one small grey picture on another: how it was turned and cut, and how well it fits.

Pictures are squares of 32 or 64 px, whatever the photo's shape, so a copy stretched to another
shape still fits. Everything works on many pairs at once. Three steps, each for those pairs that
the one before leaves:

1. the two likeliest of the eight poses (turned by 90, 180, 270 degrees, mirrored or not), by
   correlation at 8x8;
2. the best of 64 windows of either picture that the other may be cut from (:func:`place`);
3. shift and scale to a fraction of a pixel, with gain and offset of brightness (Lucas and Kanade
   1981; :func:`refine`), and then how well edges agree, overall and in every part
   (:func:`agreement`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
"""``(P, S, S)`` grey."""

Values = NDArray[np.float32]
Indices = NDArray[np.int64]

Scalar = TypeVar("Scalar", np.uint8, np.float32)

COARSE = 32
"""Side of the pictures that windows are tried on."""

FINE = 64
"""Side of the pictures that decide, where photos have so many pixels."""

POSES = ((0, False), (0, True), (1, False), (1, True), (2, False), (2, True), (3, False), (3, True))
"""Quarter turns to the left, after mirroring or not."""

IN_TEXTURE = 4.0
"""Standard deviation in grey levels above which a part of a picture has something to compare."""

_PARTS = 8
"""Side of a part in pixels."""

_SCALES = (0.9, 0.8, 0.7)
_WINDOW = 16
_CHUNK = 64
_STEP = 2.0
"""Pixels that one step may move a window."""


@dataclass(frozen=True)
class Placement:
    """How each second picture lies on its first.

    Attributes
    ----------
    poses
        ``(P,)`` index in :data:`POSES` of how the second is turned before it is laid on.
    windows
        ``(P, 4)`` top, height, left, width: the part of the turned second picture that the whole
        first one covers, as fractions; beyond 0 and 1 where the first shows more.
    scores
        ``(P,)`` correlation where they overlap.
    """

    poses: Indices
    windows: Values
    scores: Values

    def of(self, chosen: NDArray[np.bool_] | Indices) -> Placement:
        """Return the chosen pairs."""
        return Placement(self.poses[chosen], self.windows[chosen], self.scores[chosen])

    def put(self, chosen: NDArray[np.bool_] | Indices, others: Placement) -> None:
        """Replace the chosen pairs."""
        self.poses[chosen] = others.poses
        self.windows[chosen] = others.windows
        self.scores[chosen] = others.scores


@dataclass(frozen=True)
class Agreement:
    """How well pairs fit, ``(P,)`` each.

    Attributes
    ----------
    edges
        Correlation of the gradients where the two overlap.
    parts
        Correlation of brightness in the worst tenth of the textured parts: low where most of two
        photos agrees and one thing in them does not.
    textured
        Parts with something to compare.
    overlap
        Share of the first picture that the second covers.
    gain
        Contrast of the second over that of the first.
    offset
        Mean brightness of the second less that of the first, in grey levels.
    """

    edges: Values
    parts: Values
    textured: Indices
    overlap: Values
    gain: Values
    offset: Values


# --- Poses -------------------------------------------------------------------------------


def turned(pictures: NDArray[Scalar], poses: Indices) -> NDArray[Scalar]:
    """Return ``(P, S, S)`` pictures, each in its pose."""
    out = np.empty_like(pictures)
    for pose in range(len(POSES)):
        chosen = poses == pose
        out[chosen] = in_pose(pictures[chosen], pose)
    return out


def in_pose(pictures: NDArray[Scalar], pose: int) -> NDArray[Scalar]:
    """Return ``(..., S, S)`` pictures in one pose."""
    turns, mirrored = POSES[pose]
    return np.rot90(pictures[..., ::-1] if mirrored else pictures, turns, axes=(-2, -1))


def thumbnails(pictures: Pictures, side: int) -> Values:
    """Return ``(P, side * side)`` standardised values of pictures shrunk by averaging.

    Their products are correlations.
    """
    return _standardised(_shrunk(pictures, side).reshape(len(pictures), side * side))


def likely_poses(first: Pictures, second: Pictures, count: int = 2) -> tuple[Indices, Values]:
    """Return ``(P, count)`` likeliest poses of the second pictures, and their correlations."""
    one = thumbnails(first, 8)
    other = thumbnails(second, 8).reshape(-1, 8, 8)
    scores = np.stack(
        [(one * in_pose(other, pose).reshape(one.shape)).sum(axis=1) for pose in range(8)], axis=1
    )
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(scores, order, 1)


# --- Windows -----------------------------------------------------------------------------


def place(first: Pictures, second: Pictures, *, poses: int = 2) -> Placement:
    """Find the pose and the window in which each pair fits best, coarsely.

    Parameters
    ----------
    first, second
        ``(P, COARSE, COARSE)``.
    poses
        How many of the likeliest poses are tried.
    """
    tried, _ = likely_poses(first, second, poses)
    count = len(first)
    found = Placement(
        np.zeros(count, np.int64), np.zeros((count, 4), np.float32), np.full(count, -1, np.float32)
    )
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        one = first[part]
        for pose in tried[part].T:
            other = turned(second[part], pose)
            # The second may be cut from the first, or the first from the second.
            scores = np.concatenate((_fits(one, other), _fits(other, one)), axis=1)
            best = scores.argmax(axis=1)
            score = scores[np.arange(len(best)), best]
            better = np.flatnonzero(score > found.scores[part])
            found.scores[part][better] = score[better]
            found.poses[part][better] = pose[better]
            found.windows[part][better] = _WINDOWS[best[better]]
    return found


def _fits(whole: Pictures, cut: Pictures) -> Values:
    """Return ``(P, windows)`` correlations of windows of the whole with the cut picture."""
    count, pixels = len(whole), _WINDOW * _WINDOW
    values = whole.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    rows = (_SPANS.reshape(-1, COARSE) @ values).reshape(count, len(_SPANS), _WINDOW, COARSE)
    views = np.empty((count, len(_PAIRS), _WINDOW, _WINDOW), np.float32)
    for number, (y, x) in enumerate(_PAIRS):
        np.matmul(rows[:, y], _SPANS[x].T, out=views[:, number])
    flat = views.reshape(count, len(_PAIRS), pixels)
    # The cut picture has mean 0 and length 1; the windows need not be standardised one by one.
    products = (flat @ thumbnails(cut, _WINDOW)[:, :, None])[:, :, 0]
    squares = np.einsum("pwi,pwi->pw", flat, flat) - flat.sum(axis=2) ** 2 / pixels
    scores: Values = products / np.sqrt(np.maximum(squares, 1.0))
    return scores


def _intervals() -> list[tuple[float, float]]:
    """Return start and length of the intervals tried along one side."""
    intervals = [(0.0, 1.0)]
    for length in _SCALES:
        places = 3 if length == 0.9 else 4
        intervals += [(float(start), length) for start in np.linspace(0, 1 - length, places)]
    return intervals


def _average(start: float, length: float) -> Values:
    """Return ``(_WINDOW, COARSE)`` that averages an interval of a side into fewer pixels."""
    ends = (start + length * np.arange(_WINDOW + 1) / _WINDOW) * COARSE
    low, high = ends[:-1, None], ends[1:, None]
    pixel = np.arange(COARSE)[None, :]
    covered = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    average: Values = (covered / covered.sum(axis=1, keepdims=True)).astype(np.float32)
    return average


_INTERVALS = _intervals()
_SPANS = np.stack([_average(*interval) for interval in _INTERVALS])
_PAIRS = [
    (y, x)
    for y, (_, height) in enumerate(_INTERVALS)
    for x, (_, width) in enumerate(_INTERVALS)
    # Cut on all sides alike, or on one side only.
    if height == width or 1.0 in (height, width)
]


def _windows() -> Values:
    """Return top, height, left, width of the second for every pair of intervals, both ways."""
    rows = np.array([(*_INTERVALS[y], *_INTERVALS[x]) for y, x in _PAIRS])
    top, height, left, width = rows.T
    # The second is a window of the first, so the first reaches beyond it.
    inverse = np.stack((-top / height, 1 / height, -left / width, 1 / width), axis=1)
    return np.concatenate((inverse, rows)).astype(np.float32)


_WINDOWS = _windows()


# --- Alignment ---------------------------------------------------------------------------


def align(first: Pictures, second: Pictures, placed: Placement) -> tuple[Placement, Agreement]:
    """Refine where pairs lie, and tell how well they fit.

    Parameters
    ----------
    first, second
        ``(P, COARSE, COARSE)`` or ``(P, FINE, FINE)``.
    placed
        From :func:`place`.
    """
    parts = [
        _aligned(first[chunk], second[chunk], placed.of(chunk))
        for chunk in np.array_split(np.arange(len(first)), max(1, -(-len(first) // _CHUNK)))
    ]
    places = [part[0] for part in parts]
    told = [part[1] for part in parts]
    return (
        Placement(
            placed.poses,
            np.concatenate([one.windows for one in places]),
            np.concatenate([one.scores for one in places]),
        ),
        Agreement(
            *(
                np.concatenate([getattr(one, name) for one in told])
                for name in ("edges", "parts", "textured", "overlap", "gain", "offset")
            )
        ),
    )


def _aligned(first: Pictures, second: Pictures, placed: Placement) -> tuple[Placement, Agreement]:
    other = turned(second, placed.poses)
    windows = refine(_shrunk(first, COARSE), _shrunk(other, COARSE), placed.windows, steps=8)
    one, two = first.astype(np.float32), other.astype(np.float32)
    if first.shape[-1] > COARSE:
        # Copies of another size differ in the finest detail.
        one, two = _smoothed(one), _smoothed(two)
    windows = refine(one, two, windows, steps=6)
    laid = _lay(one, two, windows)
    return Placement(placed.poses, windows, laid.correlation), agreement(laid)


@dataclass(frozen=True)
class _Laid:
    """Second pictures laid on first ones, ``(P, S, S)`` less their means, 0 beyond the overlap."""

    one: Values
    two: Values
    mask: Values
    pixels: Values
    means: tuple[Values, Values]
    lengths: tuple[Values, Values]

    @property
    def correlation(self) -> Values:
        products: Values = (self.one * self.two).sum(axis=(1, 2)) / (
            self.lengths[0] * self.lengths[1]
        ).ravel()
        return products


def _lay(one: Values, two: Values, windows: Values) -> _Laid:
    side = one.shape[-1]
    centres = ((np.arange(side) + 0.5) / side).astype(np.float32)
    y = windows[:, 0:1] + windows[:, 1:2] * centres
    x = windows[:, 2:3] + windows[:, 3:4] * centres
    inside = [((at >= 0) & (at <= 1)).astype(np.float32) for at in (y, x)]
    mask = inside[0][:, :, None] * inside[1][:, None, :]
    sampled = _interpolation(y, side) @ two @ _interpolation(x, side).transpose(0, 2, 1)
    pixels = np.maximum(mask.sum(axis=(1, 2), keepdims=True), 1)
    means = tuple((values * mask).sum(axis=(1, 2), keepdims=True) / pixels
                  for values in (one, sampled))  # fmt: skip
    one, sampled = (one - means[0]) * mask, (sampled - means[1]) * mask
    lengths = tuple(
        np.maximum(np.sqrt((values * values).sum(axis=(1, 2), keepdims=True)), 1e-3)
        for values in (one, sampled)
    )
    return _Laid(one, sampled, mask, pixels, (means[0], means[1]), (lengths[0], lengths[1]))


def _interpolation(at: Values, side: int) -> Values:
    """Return ``(P, n, side)`` weights that read a side at ``(P, n)`` fractions, linearly."""
    place = np.clip(at * side - 0.5, 0, side - 1)
    low = np.minimum(place.astype(np.int64), side - 2)
    high_weight = (place - low).astype(np.float32)
    weights = np.zeros((*at.shape, side), np.float32)
    np.put_along_axis(weights, low[..., None], (1 - high_weight)[..., None], -1)
    np.put_along_axis(weights, low[..., None] + 1, high_weight[..., None], -1)
    return weights


def refine(one: Values, two: Values, windows: Values, *, steps: int) -> Values:
    """Move and scale windows until the pictures differ least (Lucas and Kanade 1981).

    Gain and offset of brightness are solved for along with the window, and left out of it.
    """
    side = one.shape[-1]
    centres = ((np.arange(side) + 0.5) / side).astype(np.float32)
    windows = windows.copy()
    for _ in range(steps):
        laid = _lay(one, two, windows)
        length = laid.lengths[1]
        scale = laid.mask * side / length
        down = np.gradient(laid.two, axis=1) * scale / windows[:, 1, None, None]
        across = np.gradient(laid.two, axis=2) * scale / windows[:, 3, None, None]
        slopes = np.stack(
            (
                down, down * centres[:, None], across, across * centres,
                laid.two / length, laid.mask / np.sqrt(laid.pixels),
            ),
            axis=1,
        ).reshape(len(one), 6, side * side)  # fmt: skip
        left = (laid.one / laid.lengths[0] - laid.two / length).reshape(len(one), side * side, 1)
        normal = slopes @ slopes.transpose(0, 2, 1)
        # A little damping (Levenberg 1944) keeps pictures without edges in place.
        normal += np.eye(6, dtype=np.float32) * (
            1e-3 / 6 * np.trace(normal, axis1=1, axis2=2) + 1e-6
        ).reshape(-1, 1, 1)
        moves = np.linalg.solve(normal, slopes @ left)[:, :4, 0]
        windows += np.clip(moves, -_STEP / side, _STEP / side)
        np.clip(windows[:, 1::2], 0.4, 2.5, out=windows[:, 1::2])
    return windows


# --- Agreement ---------------------------------------------------------------------------


def agreement(laid: _Laid) -> Agreement:
    """Tell how well pictures laid on one another fit."""
    parts, textured = _parts(laid)
    return Agreement(
        edges=_edges(laid),
        parts=parts,
        textured=textured,
        overlap=laid.mask.mean(axis=(1, 2)),
        gain=(laid.lengths[1] / laid.lengths[0]).ravel(),
        offset=(laid.means[1] - laid.means[0]).ravel(),
    )


def _edges(laid: _Laid) -> Values:
    products, ones, twos = (np.zeros(len(laid.one), np.float32) for _ in range(3))
    for axis in (1, 2):
        here = np.take(laid.mask, range(1, laid.mask.shape[axis]), axis)
        mask = here * np.take(laid.mask, range(laid.mask.shape[axis] - 1), axis)
        one, two = (np.diff(values, axis=axis) * mask for values in (laid.one, laid.two))
        products += (one * two).sum(axis=(1, 2))
        ones += (one * one).sum(axis=(1, 2))
        twos += (two * two).sum(axis=(1, 2))
    correlations: Values = products / np.maximum(np.sqrt(ones * twos), 1e-3)
    return correlations


def _parts(laid: _Laid) -> tuple[Values, Indices]:
    """Return the correlation in the worst tenth of the textured parts, and their number."""
    one, two, mask = (_cut(values) for values in (laid.one, laid.two, laid.mask))
    one = one - one.mean(axis=2, keepdims=True)
    two = two - two.mean(axis=2, keepdims=True)
    ones, twos = (one * one).sum(axis=2), (two * two).sum(axis=2)
    scores = (one * two).sum(axis=2) / np.maximum(np.sqrt(ones * twos), 1e-3)
    # What one picture has and the other has not counts too.
    lively = np.maximum(ones, twos) >= IN_TEXTURE**2 * _PARTS**2
    lively &= mask.min(axis=2) > 0
    textured = lively.sum(axis=1)
    ordered = np.sort(np.where(lively, scores, np.inf), axis=1)
    tenth = ordered[np.arange(len(ordered)), textured // 10]
    worst: Values = np.where(textured > 0, tenth, 0).astype(np.float32)
    return worst, textured


def _cut(values: Values) -> Values:
    """Return ``(P, parts, pixels)``."""
    count, side = len(values), values.shape[-1] // _PARTS
    cells = values.reshape(count, side, _PARTS, side, _PARTS).transpose(0, 1, 3, 2, 4)
    return cells.reshape(count, side * side, _PARTS * _PARTS)


# --- Pixels ------------------------------------------------------------------------------


def _shrunk(pictures: Pictures, side: int) -> Values:
    """Return ``(P, side, side)`` means of cells."""
    cell = pictures.shape[-1] // side
    cells = pictures.reshape(len(pictures), side, cell, side, cell)
    shrunk: Values = cells.mean(axis=(2, 4), dtype=np.float32)
    return shrunk


def _smoothed(pictures: Values) -> Values:
    """Return pictures averaged over neighbours, 1 2 1 both ways."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    smoothed: Values = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16
    return smoothed


def _standardised(rows: Values) -> Values:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=-1, keepdims=True)
    standardised: Values = centred / np.maximum(lengths, 1e-6)
    return standardised
