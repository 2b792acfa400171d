"""What gives a class away without the object: size, kind of file, camera, border, compression.

A small classifier is given one such trait at a time and nothing of the picture. Where it finds the
photos of a class all the same, a model may learn the trait in place of the object, and its figures
will not hold for photos from elsewhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject
from pegboard.audit.traits import Traits
from pegboard.photos import Photo

CODES = ("shortcut",)

GIVEN_AWAY = 0.5
"""A class is given away when the share of its photos that a trait finds, less the share of other
photos that it takes for them (Youden's J; 0 by chance), is surely at least this: more than half of
what a model must learn can be had without looking at the object."""

MOST_PHOTOS = 4000
"""Photos the classifiers are tried on, drawn by chance; a few hundred a class tell the same."""

LEAST_GROUPS = 10
"""Different photos a class must have: with two in each fold nothing can be told of fewer."""

LEAST_SIDE = 64
"""Shorter side in pixels of the median photo below which a border is not told: a handwritten digit
of 8 px reaches from border to border."""

FOLDS = 5
TREES = 30
DRAWS = 300
SEED = 0

THRESHOLDS = {"shortcut": GIVEN_AWAY, "least photos": float(LEAST_GROUPS)}

Rows = NDArray[np.float64]
Values = Sequence[str]


@dataclass(frozen=True)
class Trait:
    """Something that photos have besides what they show.

    Attributes
    ----------
    name
        As findings name it.
    rows
        ``(N, D)`` for the classifier.
    values
        The same in words, for each photo.
    """

    name: str
    rows: Rows
    values: Values


@dataclass(frozen=True)
class Strength:
    """How well one trait alone finds a class: shares 0 to 1 and their difference's interval."""

    trait: Trait
    found: float
    mistaken: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """Youden's J."""
        return self.found - self.mistaken


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Try every trait on every class."""
    if subject.labels is None:
        return NotApplicable("there are no classes to give away")
    chosen = _choose(subject.labels, subject.groups)
    labels, groups = subject.labels[chosen], subject.groups[chosen]
    if len(set(labels.tolist())) < 2:
        return NotApplicable(
            f"fewer than two classes have {LEAST_GROUPS} different photos, too few to tell"
        )
    photos = [subject.photos[index] for index in chosen]
    traits = list(traits_of(photos, subject.looks(), chosen))
    if not traits:
        return []
    strengths: defaultdict[int, list[Strength]] = defaultdict(list)
    told: dict[str, dict[str, float]] = {}
    with subject.progress.step("looking for shortcuts", len(traits)) as step:
        for trait in traits:
            subject.budget.check()
            answers = _answers(trait.rows, labels, groups)
            of_class = _strengths(trait, labels, answers, groups)
            for label, strength in of_class.items():
                strengths[label].append(strength)
            told[trait.name] = _summary(labels, answers)
            step.advance()
    subject.facts["shortcuts"] = {"traits": told, "words": _in_words(told)}
    return [
        _finding(subject.classes[label], found, labels == label)
        for label, of_label in sorted(strengths.items())
        if (found := [one for one in of_label if one.low >= GIVEN_AWAY])
    ]


def _choose(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of photos to try the traits on: of classes that have enough."""
    different: defaultdict[int, set[int]] = defaultdict(set)
    for label, group in zip(labels.tolist(), groups.tolist(), strict=True):
        different[label].add(group)
    enough = [label for label, found in different.items() if len(found) >= LEAST_GROUPS]
    indices = np.flatnonzero(np.isin(labels, enough))
    chance = np.random.default_rng(SEED)
    return np.sort(chance.permutation(indices)[:MOST_PHOTOS])


# --- Traits ------------------------------------------------------------------------------


def traits_of(photos: Sequence[Photo], looks: Traits, chosen: NDArray[np.int64]) -> Iterator[Trait]:
    """Yield the traits in which these photos differ at all."""
    border = _known(np.column_stack((looks.border, looks.border_contrast))[chosen])
    cameras = [looks.cameras[index] for index in chosen]
    files = [f"{looks.kinds[index]} called {looks.suffixes[index]}" for index in chosen]
    coarseness = looks.coarseness[chosen]
    traits = (
        Trait("size", _sizes(photos), [f"{photo.width} x {photo.height} px" for photo in photos]),
        Trait("file type", _one_hot(files), files),
        Trait("camera", _one_hot(cameras), [camera or "no camera told" for camera in cameras]),
        Trait("JPEG compression", _known(coarseness[:, None]), [_quality(x) for x in coarseness]),
        Trait("border", border, [_colour(row) for row in border]),
    )
    sides = [min(photo.width, photo.height) for photo in photos]
    for trait in traits:
        is_object = trait.name == "border" and np.median(sides) < LEAST_SIDE
        if not is_object and np.ptp(trait.rows, axis=0).any():
            yield trait


def _sizes(photos: Sequence[Photo]) -> Rows:
    sizes = np.array([(photo.width, photo.height) for photo in photos], np.float64)
    return np.column_stack((sizes, sizes[:, 0] / sizes[:, 1]))


def _one_hot(values: Values) -> Rows:
    """Return one column per value that several photos have."""
    common = [value for value, count in Counter(values).items() if count > 1]
    return np.array([[value == one for one in common] for value in values], np.float64).reshape(
        len(values), len(common)
    )


def _known(rows: NDArray[np.float32]) -> Rows:
    return np.nan_to_num(rows.astype(np.float64), nan=-1.0)


def _quality(coarseness: float) -> str:
    return "no JPEG" if np.isnan(coarseness) else f"JPEG steps of {coarseness:.0f}"


_SHADES = ("black", "dark", "medium", "light", "white")


def _colour(border: NDArray[np.float64]) -> str:
    """Name the colour of a border, coarsely."""
    red, green, blue = border[:3]
    shade = _SHADES[int(np.clip(border[:3].mean() // 52, 0, 4))]
    if np.ptp(border[:3]) < 25:
        return f"{shade} grey" if shade not in ("black", "white") else shade
    hue = ("red", "green", "blue")[int(np.argmax((red, green, blue)))]
    return f"{shade} {hue}ish"


# --- How much each tells -----------------------------------------------------------------


def _answers(rows: Rows, labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what a forest says of photos it was not grown on; no group is on both sides."""
    from sklearn.ensemble import ExtraTreesClassifier  # noqa: PLC0415
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict  # noqa: PLC0415

    forest = ExtraTreesClassifier(
        TREES, min_samples_leaf=3, class_weight="balanced", random_state=SEED
    )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    answers: NDArray[np.int64] = cross_val_predict(forest, rows, labels, cv=folds, groups=groups)
    return answers


def _strengths(
    trait: Trait,
    labels: NDArray[np.int64],
    answers: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> Mapping[int, Strength]:
    """Return how well the answers find each class, with intervals by bootstrap over groups."""
    _, group = np.unique(groups, return_inverse=True)
    chance = np.random.default_rng(SEED)
    count = int(group.max()) + 1
    draws = chance.multinomial(count, np.full(count, 1 / count), size=DRAWS)[:, group]
    strengths = {}
    for label in np.unique(labels):
        is_label, said = labels == label, answers == label
        found, mistaken = said[is_label].mean(), said[~is_label].mean()
        ours, others = draws[:, is_label], draws[:, ~is_label]
        differences = ours @ said[is_label] / np.maximum(ours.sum(axis=1), 1) - (
            others @ said[~is_label] / np.maximum(others.sum(axis=1), 1)
        )
        low, high = np.percentile(differences, (2.5, 97.5))
        strengths[int(label)] = Strength(
            trait, float(found), float(mistaken), float(low), float(high)
        )
    return strengths


def _summary(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> dict[str, float]:
    """Return the balanced accuracy of one trait alone, beside that of guessing."""
    present = np.unique(labels)
    recalls = [np.mean(answers[labels == label] == label) for label in present]
    return {
        "balanced_accuracy": round(float(np.mean(recalls)), 4),
        "chance": round(1 / len(present), 4),
    }


def _in_words(told: Mapping[str, Mapping[str, float]]) -> str:
    parts = [f"{name} {trait['balanced_accuracy']:.0%}" for name, trait in told.items()]
    chance = next(iter(told.values()))["chance"]
    return f"Classes told by a trait alone, without the object ({chance:.0%} by chance): " + (
        f"{', '.join(parts)}."
    )


def _finding(name: str, found: Sequence[Strength], is_class: NDArray[np.bool_]) -> Finding:
    first, *others = sorted(found, key=lambda one: -one.difference)
    also = f"; so does {', '.join(one.trait.name for one in others)}" if others else ""
    return Finding(
        f"{name}/", "shortcut", "warning", min(1.0, max(0.0, first.difference)),
        explanation=f"{first.trait.name} alone tells {name}: it finds {first.found:.0%} of its "
        f"photos and takes {first.mistaken:.0%} of the others for it (difference, 95 % interval: "
        f"{first.low:.0%} to {first.high:.0%}){_commonest(first.trait.values, is_class)}{also}",
    )  # fmt: skip


def _commonest(values: Values, is_class: NDArray[np.bool_]) -> str:
    """Say which value sets a class apart, and how often others have it."""
    inside = Counter(value for value, ours in zip(values, is_class, strict=True) if ours)
    outside = Counter(value for value, ours in zip(values, is_class, strict=True) if not ours)
    ours, rest = inside.total(), max(outside.total(), 1)
    value = max(inside, key=lambda one: inside[one] / ours - outside[one] / rest)
    return (
        f"; {value}: {inside[value] / ours:.0%} of them, {outside[value] / rest:.0%} of the others"
    )
