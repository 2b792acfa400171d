"""What photos were like to a model, as counts: no photo can be told from them.

The same counts are made of a model's validation photos, which it carries in its bundle, and of
the photos it is asked about later. Where the two differ, the world has changed, or what it is
asked about never was what it learned from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from pegboard.photos import Pixels
from pegboard.rows import Prediction

CONFIDENCES = 10
"""Steps of the likeliest class's probability, from 0 to 1."""

BRIGHTNESSES = 16
"""Steps of a photo's mean brightness, from 0 to 255."""

DISTANCES = 18
"""Steps of the angle between a photo's features and those of the nearest class, 0 to 90 degrees."""

DECISIONS = ("sure", "unsure", "unknown")

_EVERY = 4
"""Rows and columns of which one is looked at: a mean needs no more."""

Counts = Mapping[str, int]


class Answered(NamedTuple):
    """A photo that was answered.

    Attributes
    ----------
    photo
        What the model saw of it; text for a photo that could not be used.
    row
        The answer.
    strangeness
        How unlike all training photos it is (:meth:`pegboard.bundle.Likeness.strangeness`); None
        where the model does not tell.
    """

    photo: Pixels | str
    row: Prediction
    strangeness: float | None = None


@dataclass
class Tallies:
    """Counts of some photos.

    Attributes
    ----------
    labels
        Photos by the likeliest class.
    decisions
        Photos that were ``sure``, ``unsure`` and ``unknown``.
    confidence, brightness
        Photos by step of :data:`CONFIDENCES` and :data:`BRIGHTNESSES`.
    distance
        Photos by step of :data:`DISTANCES`, of which the model tells how strange they are.
    """

    labels: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    confidence: list[int] = field(default_factory=lambda: [0] * CONFIDENCES)
    brightness: list[int] = field(default_factory=lambda: [0] * BRIGHTNESSES)
    distance: list[int] = field(default_factory=lambda: [0] * DISTANCES)

    @property
    def photos(self) -> int:
        """How many photos were counted."""
        return sum(self.confidence)

    def note(self, photo: Answered) -> None:
        """Count one photo; one that could not be used is left out."""
        seen, row, strangeness = photo
        if isinstance(seen, str):
            return
        if row.label is None or row.probability is None or row.decision is None:
            return
        self.labels[row.label] += 1
        self.decisions[row.decision] += 1
        self.confidence[_step(row.probability, CONFIDENCES)] += 1
        light = float(seen[::_EVERY, ::_EVERY].mean()) / 256
        self.brightness[_step(light, BRIGHTNESSES)] += 1
        if strangeness is not None:
            self.distance[_step(_angle(strangeness) / 90, DISTANCES)] += 1

    def add(self, other: Tallies) -> None:
        """Count the photos of others, too."""
        self.labels.update(other.labels)
        self.decisions.update(other.decisions)
        self.confidence = _sums(self.confidence, other.confidence)
        self.brightness = _sums(self.brightness, other.brightness)
        self.distance = _sums(self.distance, other.distance)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "labels": dict(sorted(self.labels.items())),
            "decisions": {name: self.decisions[name] for name in DECISIONS},
            "confidence": list(self.confidence),
            "brightness": list(self.brightness),
            "distance": list(self.distance),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tallies:
        """Rebuild from :meth:`to_json`; the first pegboards did not count distances.

        Raises
        ------
        ValueError
            When it is nothing of the kind.
        """
        try:
            told = cls(
                Counter({str(name): _count(value) for name, value in data["labels"].items()}),
                Counter({name: _count(data["decisions"][name]) for name in DECISIONS}),
                [_count(value) for value in data["confidence"]],
                [_count(value) for value in data["brightness"]],
                [_count(value) for value in data.get("distance", [0] * DISTANCES)],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no counts of photos: {error!r}") from error
        found = tuple(map(len, (told.confidence, told.brightness, told.distance)))
        if found != (CONFIDENCES, BRIGHTNESSES, DISTANCES):
            raise ValueError("counts of photos in other steps")
        return told


def tallied(photos: Iterable[Answered]) -> Tallies:
    """Count photos; those that could not be used are left out."""
    tallies = Tallies()
    for photo in photos:
        tallies.note(photo)
    return tallies


def _angle(strangeness: float) -> float:
    """Return degrees: strangeness is 1 less their cosine, which hardly differs for small ones."""
    return math.degrees(math.acos(min(max(1 - strangeness, -1.0), 1.0)))


def _step(share: float, steps: int) -> int:
    return min(max(int(share * steps), 0), steps - 1)


def _sums(some: Sequence[int], others: Sequence[int]) -> list[int]:
    return [one + other for one, other in zip(some, others, strict=True)]


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"expected a count, found {value!r}")
    return value


@dataclass(frozen=True)
class Difference:
    """How far two sets of photos are apart.

    Attributes
    ----------
    index
        The population stability index: 0 where shares are equal; by convention a change is slight
        below .1 and large above .25.
    chance
        What chance alone stays below 95 times of 100.
    """

    index: float
    chance: float

    @property
    def is_real(self) -> bool:
        """Whether it is more than chance does."""
        return self.index > self.chance

    @property
    def is_large(self) -> bool:
        """Whether it is large by the usual convention, and more than chance does."""
        return self.is_real and self.index > 0.25


def difference(before: Sequence[int], after: Sequence[int]) -> Difference:
    """Compare two sets of counts over the same steps.

    The population stability index, the sum of ``(q - p) ln(q / p)`` over the shares; the limit of
    chance is that of Yurdakul and Naranjo 2020, "Statistical properties of the population
    stability index": ``(1/n + 1/m)`` times a chi-squared quantile. Half a photo is added to each
    step, so that an empty one is no infinite difference.

    Raises
    ------
    ValueError
        When they are of different lengths.
    """
    pairs = [(b, a) for b, a in zip(before, after, strict=True) if b or a]
    n, m = sum(b for b, _ in pairs), sum(a for _, a in pairs)
    if len(pairs) < 2 or not n or not m:
        return Difference(0.0, math.inf if not (n and m) else 0.0)
    steps = len(pairs)
    p = (np.array([b for b, _ in pairs]) + 0.5) / (n + steps / 2)
    q = (np.array([a for _, a in pairs]) + 0.5) / (m + steps / 2)
    index = float(((q - p) * np.log(q / p)).sum())
    return Difference(index, (1 / n + 1 / m) * _chi_squared(steps - 1))


def _chi_squared(freedom: int) -> float:
    """Return the 95 % quantile (Wilson and Hilferty 1931: within 2 % from one degree on)."""
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + NormalDist().inv_cdf(0.95) * math.sqrt(spread)) ** 3)
