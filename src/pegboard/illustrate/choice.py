"""Which photos are worth showing, in which order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pegboard.evaluate import Predictions
from pegboard.learn import Job, Task
from pegboard.manifest import ManifestRow
from pegboard.runs import ModelFolder

MISTAKES = 24
"""Mistakes of each model that are shown with neighbours and heat."""

SAMPLES = 6
"""Training photos shown of each class."""

ALL_SAMPLES = 600
"""Training photos shown of all classes together; at least one of each."""

RIGHT = 8
"""Right answers shown of each class and model: what the diagonal of a confusion matrix opens."""

GROUPS, OF_GROUP = 12, 4
"""Groups of duplicates shown, and photos of each."""

T = TypeVar("T")


@dataclass(frozen=True)
class Exhibit:
    """One model of a finished run.

    Attributes
    ----------
    job
        What was trained.
    tasks
        One, or one per fold; ``folder`` holds the model of the first.
    test
        Answers to the test photos of all tasks together.
    """

    job: Job
    tasks: Sequence[Task]
    folder: ModelFolder
    test: Predictions

    @property
    def name(self) -> str:
        """As typed."""
        return self.job.name.typed

    @property
    def mistakes(self) -> list[int]:
        """Indices into ``test`` of wrong answers, most confident first."""
        wrong = np.flatnonzero(~self.test.right)
        confidence = self.test.probabilities[wrong].max(axis=1)
        order: list[int] = wrong[np.argsort(-confidence, kind="stable")].tolist()
        return order


def in_turn(queues: Iterable[Iterable[T]]) -> Iterator[T]:
    """Yield the first of every queue, then the second of every queue, and so on."""
    nothing = object()
    for turn in zip_longest(*queues, fillvalue=nothing):
        yield from (item for item in turn if item is not nothing)  # type: ignore[misc]


def wrong_paths(exhibits: Sequence[Exhibit]) -> Iterator[str]:
    """Yield misclassified photos so that every confusion of every model is met early.

    The most confident mistake of each confusion comes first, larger confusions before smaller
    ones and models in turn; then the second of each. A path comes up again for every model
    that got it wrong.
    """
    return in_turn(in_turn(_confusions(exhibit) for exhibit in exhibits))


def _confusions(exhibit: Exhibit) -> list[list[str]]:
    """Return the paths of each cell off the diagonal, most confident first, largest cell first."""
    test, predicted = exhibit.test, exhibit.test.predicted
    cells: dict[tuple[int, int], list[str]] = defaultdict(list)
    for index in exhibit.mistakes:
        cells[int(test.labels[index]), int(predicted[index])].append(test.paths[index])
    return sorted(cells.values(), key=len, reverse=True)


def right_paths(exhibits: Sequence[Exhibit]) -> Iterator[str]:
    """Yield rightly classified photos, up to :data:`RIGHT` of each class and model.

    Photos that many models got right are taken first, so that they serve several models.
    """
    votes: dict[str, int] = defaultdict(int)
    for exhibit in exhibits:
        for index in np.flatnonzero(exhibit.test.right).tolist():
            votes[exhibit.test.paths[index]] += 1
    return in_turn(
        queue for exhibit in exhibits for queue in _right_of_each_class(exhibit.test, votes)
    )


def _right_of_each_class(test: Predictions, votes: Mapping[str, int]) -> Iterator[list[str]]:
    right = np.flatnonzero(test.right)
    for label in range(len(test.classes)):
        of_class = right[test.labels[right] == label].tolist()
        paths = sorted((test.paths[index] for index in of_class), key=lambda path: -votes[path])
        yield paths[:RIGHT]


def samples(
    rows: Sequence[ManifestRow], train: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return paths of some training photos of each class, evenly spread, copies left aside."""
    count = max(1, min(SAMPLES, ALL_SAMPLES // max(1, len(classes))))
    of_class: dict[str, dict[str, str]] = {label: {} for label in classes}
    for index in train:
        row = rows[index]
        of_class[row.label].setdefault(row.group or row.path, row.path)
    return {label: tuple(_spread(list(paths.values()), count)) for label, paths in of_class.items()}


def groups_kept_together(rows: Sequence[ManifestRow]) -> tuple[tuple[str, ...], ...]:
    """Return some groups of two photos or more, and some photos of each."""
    groups: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        groups[row.group or row.path].append(row.path)
    larger = [group for group in groups.values() if len(group) > 1]
    return tuple(tuple(_spread(group, OF_GROUP)) for group in _spread(larger, GROUPS))


def _spread(items: Sequence[T], count: int) -> list[T]:
    """Return ``count`` of the items, or all there are, evenly spread over them."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]
