"""A model of a finished run with the photos that it was trained and tested on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import Bundle, Network, Sight
from pegboard.bundle.tested import key_of
from pegboard.errors import RunFolderError, SourceError
from pegboard.evaluate import Predictions, read_predictions
from pegboard.loader import Photos
from pegboard.manifest import read_manifest
from pegboard.photos import Pixels, SplitName
from pegboard.runs import ModelFolder, RunFolder, read_json
from pegboard.sampling import each_class_in_turn
from pegboard.sources import SourceOptions, open_source
from pegboard.threads import default_threads

BATCH = 64
"""Photos decoded at once."""


@dataclass(frozen=True)
class Reopened:
    """A trained model, its photos and its answers.

    Attributes
    ----------
    photos
        In the order of the manifest.
    labels
        ``(N,)`` class indices.
    is_pooled
        Whether the run was a cross-validation: its answers are those of several models.
    """

    bundle: Bundle
    folder: ModelFolder
    photos: Photos
    labels: NDArray[np.int64]
    is_pooled: bool

    def indices(self, split: SplitName) -> NDArray[np.int64]:
        """Return the photos of one split; in a cross-validation, as far as this model knows.

        The model of a cross-validation is that of its first fold. Which photos tested it stands
        in its own file; it learned from most of the others.
        """
        if not self.is_pooled:
            return np.flatnonzero([row.split == split for row in self.photos.rows])
        tested = self.bundle.answers.places() if self.bundle.answers else {}
        is_test = np.array([key_of(row.sha256) in tested for row in self.photos.rows], bool)
        return np.flatnonzero(is_test if split == "test" else ~is_test)

    def some(self, split: SplitName, count: int) -> NDArray[np.int64]:
        """Return at most ``count`` photos of a split, each class in turn."""
        indices = self.indices(split)
        return np.asarray(indices[each_class_in_turn(self.labels[indices], count)])

    def pixels(self, indices: NDArray[np.int64]) -> Iterator[Pixels]:
        """Yield photos fitted for the model, some at a time, in order.

        Raises
        ------
        SourceError
            When a photo is not there any more, or was changed so that it cannot be used.
        """
        for start in range(0, len(indices), BATCH):
            yield self.photos.take(indices[start : start + BATCH], self.bundle.info.input)

    def answered(self, network: Network, indices: NDArray[np.int64]) -> Sight:
        """Return what a network makes of photos."""
        return Sight.joined([Sight.of(network, batch) for batch in self.pixels(indices)])

    def predictions(
        self, indices: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]
    ) -> Predictions:
        """Return the answers of a network to photos, ``(len(indices), classes)``, as a split's."""
        rows = [self.photos.rows[index] for index in indices]
        classes = self.bundle.info.classes
        return Predictions.of_rows(rows, self.labels[indices], probabilities, classes)

    def trained_answers(self, split: SplitName) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the indices of the photos that the trained model answered, and its answers.

        Raises
        ------
        RunFolderError
            When the run does not hold them.
        """
        place = {row.path: index for index, row in enumerate(self.photos.rows)}
        if self.is_pooled:
            return self._kept_answers(split)
        found = read_predictions(self.folder.predictions, {}).get(split)
        if found is None or not set(found.paths) <= place.keys():
            raise RunFolderError(
                f"{self.folder.predictions} does not hold the answers to the {split} photos of "
                "the manifest; compare again"
            )
        order = self._class_order(found)
        indices = np.array([place[path] for path in found.paths], np.int64)
        return indices, found.probabilities[:, order]

    def _class_order(self, found: Predictions) -> list[int]:
        return [list(found.classes).index(name) for name in self.bundle.info.classes]

    def _kept_answers(self, split: SplitName) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        kept = self.bundle.answers
        if kept is None or split != "test":
            raise RunFolderError(
                f"{self.bundle.path} is of a cross-validation, and does not hold which photos "
                "tested it; compare again"
            )
        places, indices = kept.places(), self.indices("test")
        rows = [places[key_of(self.photos.rows[index].sha256)] for index in indices]
        return indices, kept.probabilities[rows].astype(np.float64)


@contextmanager
def reopened(run: Path, bundle: Bundle) -> Iterator[Reopened]:
    """Open the photos of a run again.

    Raises
    ------
    RunFolderError
        When the run is not a finished one.
    SourceError
        When its photos are not where they were.
    """
    folder = RunFolder(run)
    record = read_json(folder.run)
    rows = read_manifest(folder.manifest)
    settings = record.get("settings", {})
    where = str(record.get("source", {}).get("location", ""))
    try:
        source = open_source(where, SourceOptions.of(settings))
    except SourceError as error:
        raise SourceError(
            f"this export needs the photos of {run}, and they cannot be opened: {error}"
        ) from error
    number = {name: index for index, name in enumerate(bundle.info.classes)}
    labels = np.array([number[row.label] for row in rows], np.int64)
    photos = Photos(source, rows, threads=default_threads())
    try:
        yield Reopened(
            bundle, folder.model(bundle.info.slug), photos, labels, bool(settings.get("folds"))
        )
    finally:
        photos.close()
