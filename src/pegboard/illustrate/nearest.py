"""The training photos most like a test photo, and what "like" means in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegboard.budget import Budget
from pegboard.illustrate.choice import Exhibit
from pegboard.learn import Job, Task, embed
from pegboard.models.registry import SMALL_SIDE
from pegboard.progress import Progress

NEIGHBOURS = 3
"""Shown of each photo."""

LOOKED_AT = 4 * NEIGHBOURS
"""Found for each photo: some are copies of one another."""

PART = 1024
"""Training photos compared at once, so that never all of them are decoded."""

Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Indices and similarities, each ``(queries, k)``, most similar first."""

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Likeness:
    """How photos are compared.

    Attributes
    ----------
    words
        What is compared, as the report says it.
    exhibit
        The model whose input or backbone it is.
    find
        From a task, query indices and what limits it to the nearest training photos.
    """

    words: str
    exhibit: Exhibit
    find: Callable[[Task, NDArray[np.int64], Budget, Progress], Found]


def likeness(exhibits: Sequence[Exhibit]) -> Likeness | str:
    """Return how this run's photos can be compared, or in words why they cannot.

    The features of a pretrained backbone where training kept those of every training photo;
    for small pictures their pixels. Pixels of photos say nothing of what is on them.
    """
    for exhibit in exhibits:
        if _keeps_features(exhibit.job):
            size = f"{exhibit.job.spec.width} x {exhibit.job.spec.height} px"
            words = f"pretrained features of {exhibit.job.name.base} at {size}, as {exhibit.name}"
            return Likeness(f"{words} uses them", exhibit, _features_of(exhibit.job))
    small = [e for e in exhibits if max(e.job.spec.height, e.job.spec.width) <= SMALL_SIDE]
    if small:
        spec = small[0].job.spec
        words = f"pixels at {spec.width} x {spec.height} px, brightness and contrast aside"
        return Likeness(words, small[0], _pixels_of(small[0].job))
    return (
        "none: photos are compared by the features of a pretrained backbone, and no model of "
        "this run keeps any; add probe to --models"
    )


def _keeps_features(job: Job) -> bool:
    trained_on_features = job.recipe.method in ("features", "logistic") or job.recipe.warm_head
    return job.weights is not None and trained_on_features


def _features_of(job: Job) -> Callable[[Task, NDArray[np.int64], Budget, Progress], Found]:
    def find(task: Task, queries: NDArray[np.int64], budget: Budget, progress: Progress) -> Found:
        indices = np.concatenate((queries, task.train))
        features = embed(job, task, indices, budget=budget, progress=progress)
        asked, known = features[: len(queries)], features[len(queries) :]
        parts = (
            (task.train[start : start + PART], known[start : start + PART])
            for start in range(0, len(known), PART)
        )
        return nearest(asked, parts)

    return find


def _pixels_of(job: Job) -> Callable[[Task, NDArray[np.int64], Budget, Progress], Found]:
    def find(task: Task, queries: NDArray[np.int64], budget: Budget, progress: Progress) -> Found:
        def rows(indices: NDArray[np.int64]) -> Rows:
            return centred(task.photos.take(indices, job.spec))

        def parts() -> Iterator[tuple[NDArray[np.int64], Rows]]:
            with progress.step("most similar training photos", len(task.train)) as bar:
                for start in range(0, len(task.train), PART):
                    budget.check()
                    part = task.train[start : start + PART]
                    yield part, rows(part)
                    bar.advance(len(part))

        return nearest(rows(queries), parts())

    return find


def centred(pixels: NDArray[np.uint8]) -> Rows:
    """Return ``(N, D)`` float32 rows: each picture's pixels less their own mean."""
    rows = pixels.reshape(len(pixels), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows


def nearest(
    queries: Rows, parts: Iterable[tuple[NDArray[np.int64], Rows]], k: int = LOOKED_AT
) -> Found:
    """Return the ``k`` rows of highest cosine for each query (fewer where there are fewer).

    Parameters
    ----------
    queries
        ``(Q, D)``.
    parts
        Pairs of ``(n,)`` indices and their ``(n, D)`` rows, looked at one after the other.
        Equally similar ones stay in this order.
    """
    asked = _unit(queries)
    places = np.empty((len(asked), 0), np.int64)
    cosines = np.empty((len(asked), 0), np.float32)
    for indices, rows in parts:
        both = np.concatenate((cosines, asked @ _unit(rows).T), axis=1)
        every = np.concatenate((places, np.tile(indices, (len(asked), 1))), axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        cosines = np.take_along_axis(both, order, axis=1)
        places = np.take_along_axis(every, order, axis=1)
    return places, cosines


def _unit(rows: Rows) -> Rows:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
    unit: Rows = (rows / np.maximum(lengths, np.float32(1e-12))).astype(np.float32, copy=False)
    return unit
