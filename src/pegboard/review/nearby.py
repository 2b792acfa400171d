"""Photos to compare with: of one class, the nearest to the photo that is looked at."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pegboard.embed import Features
from pegboard.errors import PegboardError
from pegboard.evidence import Neighbour

COPY = 0.9999
"""Cosine from which a photo is a copy of the photo itself and shows nothing new."""


@dataclass(frozen=True)
class Near:
    """A photo to compare with; ``similarity`` is a cosine, None where nothing was measured."""

    path: str
    similarity: float | None


class Nearby(Protocol):
    """Finds photos of a class to show beside a photo."""

    @property
    def words(self) -> str:
        """By what they are found."""
        ...

    def of(self, path: str, label: str, count: int) -> Sequence[Near]:
        """Return up to ``count`` other photos of the class, nearest first."""
        ...


class Samples:
    """Some photos of the class, the same ones each time, spread over it."""

    words = "Some photos of the class: nothing is kept to tell which are nearest."

    def __init__(self, labels: Mapping[str, str | None]) -> None:
        self._paths: defaultdict[str, list[str]] = defaultdict(list)
        for path, label in labels.items():
            if label is not None:
                self._paths[label].append(path)

    def of(self, path: str, label: str, count: int) -> Sequence[Near]:
        """Return up to ``count`` other photos of the class."""
        paths = [other for other in self._paths.get(label, ()) if other != path]
        step = max(1, len(paths) // count)
        return [Near(other, None) for other in paths[::step][:count]]


class KeptNeighbours:
    """The neighbours that a run kept of its mistakes; samples where there are too few."""

    def __init__(self, kept: Mapping[str, Sequence[Neighbour]], words: str, rest: Nearby) -> None:
        self._kept = kept
        self._rest = rest
        self.words = words or rest.words

    def of(self, path: str, label: str, count: int) -> Sequence[Near]:
        """Return up to ``count`` photos of the class, nearest first."""
        kept = [
            Near(one.path, one.similarity)
            for one in self._kept.get(path, ())
            if one.label == label and one.path != path
        ][:count]
        known = {one.path for one in kept}
        more = (one for one in self._rest.of(path, label, 2 * count) if one.path not in known)
        return [*kept, *more][:count]


class ByFeatures:
    """The nearest by a backbone's features.

    Parameters
    ----------
    paths, labels
        ``(N,)`` of the photos.
    features
        ``(N, D)`` float32.
    """

    words = "The nearest by what EfficientNet-Lite0 sees in them."

    def __init__(
        self, paths: Sequence[str], labels: Sequence[str | None], features: Features
    ) -> None:
        self._paths = paths
        self._row = {path: row for row, path in enumerate(paths)}
        norms = np.linalg.norm(features, axis=1, keepdims=True)
        self._unit = (features / np.maximum(norms, 1e-12)).astype(np.float32)
        members: defaultdict[str, list[int]] = defaultdict(list)
        for row, label in enumerate(labels):
            if label is not None:
                members[label].append(row)
        self._members: Mapping[str, NDArray[np.int64]] = {
            label: np.array(rows, dtype=np.int64) for label, rows in members.items()
        }

    def of(self, path: str, label: str, count: int) -> Sequence[Near]:
        """Return up to ``count`` photos of the class, nearest first; copies are not among them."""
        row, rows = self._row.get(path), self._members.get(label)
        if row is None or rows is None:
            return []
        cosines = self._unit[rows] @ self._unit[row]
        cosines[(rows == row) | (cosines > COPY)] = -np.inf
        best = np.argsort(-cosines, kind="stable")[:count]
        return [
            Near(self._paths[rows[at]], float(cosines[at])) for at in best if cosines[at] > -np.inf
        ]


class Arriving:
    """One way of finding photos until a better one is ready.

    Parameters
    ----------
    now
        Used meanwhile, and where the better way finds nothing.
    make
        Makes the better one, in a thread of its own; None, or a PegboardError, where it cannot.
    """

    def __init__(self, now: Nearby, make: Callable[[], Nearby | None]) -> None:
        self._now = now
        self._better: Nearby | None = None
        self._thread = threading.Thread(target=self._prepare, args=(make,), daemon=True)
        self._thread.start()

    def _prepare(self, make: Callable[[], Nearby | None]) -> None:
        try:
            self._better = make()
        except PegboardError:
            # What is shown meanwhile will do; a review needs no features.
            self._better = None

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the better way is ready, or cannot be had."""
        self._thread.join(seconds)

    @property
    def words(self) -> str:
        """By what photos are found at present."""
        return (self._better or self._now).words

    def of(self, path: str, label: str, count: int) -> Sequence[Near]:
        """Return up to ``count`` photos of the class, nearest first where that is known."""
        found = self._better.of(path, label, count) if self._better else []
        return found or self._now.of(path, label, count)
