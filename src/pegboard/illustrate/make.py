"""Make a run's evidence within the time there is: the cheapest and most useful first."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pegboard.augment import augmented_views
from pegboard.budget import Budget
from pegboard.errors import BudgetSpent, PegboardError
from pegboard.evidence import Evidence, Mistake, ModelEvidence, Neighbour, Views, remove
from pegboard.illustrate.choice import (
    MISTAKES,
    Exhibit,
    groups_kept_together,
    in_turn,
    right_paths,
    samples,
    wrong_paths,
)
from pegboard.illustrate.nearest import NEIGHBOURS, Likeness, likeness
from pegboard.loader import Photos
from pegboard.models.layer_row import LayerRow
from pegboard.models.layers import describe_model
from pegboard.occlusion import GRID, heat_overlay, occlusion_map
from pegboard.photos import Pixels
from pegboard.pictures import Album, encode, thumbnail, within
from pegboard.predict import Predictor
from pegboard.progress import Progress
from pegboard.recipes import Augmentation
from pegboard.runs import RunFolder
from pegboard.views import view

MOST_SECONDS = 60.0
"""Longest that all of it takes without a time budget."""

HEAT_SECONDS = 20.0
"""Longest that finding out where the models looked takes."""

HEAT_SHARE, LEAST_HEAT_SECONDS = 0.05, 3.0
"""The same as a share of the run so far, and what it may take however short the run was: nobody
waits for pictures of a quick run as long as for the run."""

BEST_SHARE = 0.6
"""Share of that time for the best model; the others share the rest."""

HEATS = 8
"""Mistakes of each model but the best that are shown with heat; of the best all shown are."""

THUMBNAILS = 1500
"""Photos with a thumbnail, neighbours aside: some 3 MB."""

SEEN, AUGMENTED, VIEWS = 6, 4, 6
"""Photos shown as a model sees them, photos shown augmented, and views of each."""

VIEW_SIDE, HEAT_SIDE = 128, 160
"""Longest sides of augmented views and of heat."""

_AT_ONCE, _TRIED = 32, 2


def illustrate(
    folder: RunFolder,
    photos: Photos,
    exhibits: Sequence[Exhibit],
    *,
    also: Iterable[str] = (),
    budget: Budget | None = None,
    threads: int = 2,
    progress: Progress | None = None,
) -> Evidence | None:
    """Make and write the evidence of a finished run.

    A run whose figures are written is finished: whatever goes wrong here is told, not raised.

    Parameters
    ----------
    folder
        Of the run; what evidence it holds is replaced.
    photos
        All photos of the run.
    exhibits
        The models, best first.
    also
        Paths of further photos to keep thumbnails of; those that are not used are passed over.
    budget
        What is left when it is spent is left out, and said in the notes.

    Returns
    -------
    What was written, or None when there was no time or it failed.
    """
    budget, progress = budget or Budget(), progress or Progress()
    remove(folder)
    if budget.spent:
        progress.message("note: the budget leaves no time for photos in the report")
        return None
    limited = budget.at_most(MOST_SECONDS)
    try:
        so_far = budget.elapsed
        evidence = _Illustrator(
            photos, exhibits, limited, threads, progress, also, so_far=so_far
        ).make()
        evidence.write(folder)
    except Exception as error:
        remove(folder)
        progress.message(f"note: the report has no photos: {error or repr(error)}")
        return None
    return evidence


class _Illustrator:
    """Collects what there is to show; a step that fails leaves a note and not a hole."""

    def __init__(
        self,
        photos: Photos,
        exhibits: Sequence[Exhibit],
        budget: Budget,
        threads: int,
        progress: Progress,
        also: Iterable[str] = (),
        *,
        so_far: float = 0.0,
    ) -> None:
        self.photos = photos
        self.exhibits = exhibits
        self.budget = budget
        self.so_far = so_far
        self.threads = threads
        self.progress = progress
        self.album = Album()
        self.notes: list[str] = []
        self.thumbnails: dict[str, str] = {}
        self.gone: dict[str, str] = {}
        self.index = {row.path: index for index, row in enumerate(photos.rows)}
        self.also = [path for path in also if path in self.index]
        self.shown = {
            exhibit.name: [exhibit.test.paths[index] for index in exhibit.mistakes[:MISTAKES]]
            for exhibit in exhibits
        }

    def make(self) -> Evidence:
        """Make everything, in the order of the cost of doing without it."""
        task = self.exhibits[0].tasks[0]
        sampled = samples(self.photos.rows, task.train, task.classes)
        groups = groups_kept_together(self.photos.rows)
        self._show_photos(sampled, groups)
        layers = {exhibit.name: self._layers(exhibit) for exhibit in self.exhibits}
        views = {exhibit.name: self._views(exhibit, sampled) for exhibit in self.exhibits}
        how = likeness(self.exhibits)
        neighbours = self._neighbours(how) if isinstance(how, Likeness) else {}
        heats = self._heats()
        models = {
            exhibit.name: ModelEvidence(
                layers[exhibit.name],
                *views[exhibit.name],
                tuple(
                    Mistake(path, neighbours.get(path, ()), heats.get((exhibit.name, path)))
                    for path in self.shown[exhibit.name]
                ),
            )
            for exhibit in self.exhibits
        }
        return Evidence(
            thumbnails=self.thumbnails,
            samples=sampled,
            models=models,
            duplicates=groups,
            neighbours_by=_compared_by(how, found=bool(neighbours) or not any(self.shown.values())),
            notes=tuple(self.notes),
            pictures=self.album.pictures,
        )

    # --- photos -------------------------------------------------------------------------

    def _show_photos(
        self, sampled: dict[str, tuple[str, ...]], groups: tuple[tuple[str, ...], ...]
    ) -> None:
        wrong = dict.fromkeys(wrong_paths(self.exhibits))
        wanted = dict.fromkeys(
            (
                *in_turn(self.shown.values()),
                *self.also,
                *in_turn(sampled.values()),
                *(path for group in groups for path in group),
                *wrong,
                *right_paths(self.exhibits),
            )
        )
        chosen = list(islice(wanted, THUMBNAILS))
        self._add_thumbnails(chosen, self.budget.share(1 / 3), "photos for the report")
        missing = len(wrong.keys() - self.thumbnails.keys() - self.gone.keys())
        if self.gone:
            count, why = len(self.gone), next(iter(self.gone.values()))
            self.notes.append(f"{count} photo{'s' * (count > 1)} could not be shown: {why}")
        if missing:
            self.notes.append(
                f"{missing} of {len(wrong)} misclassified test photos are not shown: at most "
                f"{THUMBNAILS} photos are kept, and only while the time lasts"
            )

    def _add_thumbnails(self, paths: Iterable[str], budget: Budget, title: str) -> None:
        wanted = [path for path in dict.fromkeys(paths) if path not in self.thumbnails]
        with (
            ThreadPoolExecutor(self.threads) as pool,
            self.progress.step(title, len(wanted)) as bar,
        ):
            for start in range(0, len(wanted), _AT_ONCE):
                if budget.spent:
                    break
                part = wanted[start : start + _AT_ONCE]
                for path, data in zip(part, pool.map(self._thumbnail, part), strict=True):
                    if isinstance(data, bytes):
                        self.thumbnails[path] = self.album.add(data)
                    else:
                        self.gone[path] = data
                bar.advance(len(part))

    def _thumbnail(self, path: str) -> bytes | str:
        """Return a photo's thumbnail, or why there is none."""
        try:
            return thumbnail(self.photos.payload(self.index[path]))
        except PegboardError as error:
            return str(error)

    # --- models -------------------------------------------------------------------------

    def _layers(self, exhibit: Exhibit) -> tuple[LayerRow, ...]:
        job, classes = exhibit.job, len(exhibit.tasks[0].classes)
        with self._noted(f"the layers of {exhibit.name}"):
            return tuple(describe_model(job.name, classes, job.spec, recipe=job.recipe.name))
        return ()

    def _views(
        self, exhibit: Exhibit, sampled: dict[str, tuple[str, ...]]
    ) -> tuple[tuple[Views, ...], tuple[Views, ...]]:
        """Return photos as the model sees them, and as training changes them."""
        with self._noted(f"photos as {exhibit.name} sees them"):
            there = (path for path in in_turn(sampled.values()) if path not in self.gone)
            paths = list(islice(there, SEEN))
            indices = np.array([self.index[path] for path in paths], dtype=np.int64)
            pixels = self.photos.take(indices, exhibit.job.spec)
            seen = [
                Views(path, (self.album.add(encode(photo)),))
                for path, photo in zip(paths, pixels, strict=True)
            ]
            changed = [
                Views(path, self._augmented(photo, exhibit, number))
                for number, (path, photo) in enumerate(
                    zip(paths[:AUGMENTED], pixels[:AUGMENTED], strict=True)
                )
            ]
            return tuple(seen), tuple(one for one in changed if one.pictures)
        return (), ()

    def _augmented(self, photo: Pixels, exhibit: Exhibit, number: int) -> tuple[str, ...]:
        """Return pictures of what training made of a photo, if it changed photos at all."""
        recipe, key = exhibit.job.recipe, str(number)
        shown: Iterable[Pixels] = ()
        if recipe.method != "gradient":
            shown = (view(photo, recipe.views, key, n) for n in range(recipe.views.count))
        elif recipe.augmentation != Augmentation():
            seed = exhibit.job.seed + number
            shown = augmented_views(photo, recipe.augmentation, VIEWS, seed=seed)
        return tuple(self.album.add(encode(within(one, VIEW_SIDE))) for one in islice(shown, VIEWS))

    # --- mistakes -----------------------------------------------------------------------

    def _neighbours(self, how: Likeness) -> dict[str, tuple[Neighbour, ...]]:
        """Return the nearest training photos of every mistake shown, with thumbnails."""
        found: dict[str, tuple[Neighbour, ...]] = {}
        shown = {
            self.index[path]
            for paths in self.shown.values()
            for path in paths
            if path not in self.gone
        }
        with self._noted("the nearest training photos of mistakes"):
            budget = self.budget.share(1 / 2)
            for task in how.exhibit.tasks:
                queries = np.array([i for i in task.test.tolist() if i in shown], dtype=np.int64)
                if len(queries) == 0:
                    continue
                places, cosines = how.find(task, queries, budget, self.progress)
                for query, near, likes in zip(queries, places, cosines, strict=True):
                    found[self.photos.rows[query].path] = self._distinct(near, likes)
        paths = (neighbour.path for near in found.values() for neighbour in near)
        self._add_thumbnails(paths, self.budget.share(1 / 3), "neighbours for the report")
        return found

    def _distinct(
        self, places: NDArray[np.int64], cosines: NDArray[np.float32]
    ) -> tuple[Neighbour, ...]:
        """Return the nearest photos, one of each group: a copy of a neighbour shows nothing new."""
        found: dict[str, Neighbour] = {}
        for index, cosine in zip(places.tolist(), cosines.tolist(), strict=True):
            row = self.photos.rows[index]
            # A cosine of 1 and a little more is rounding.
            similarity = round(min(1.0, max(-1.0, cosine)), 4)
            found.setdefault(row.group or row.path, Neighbour(row.path, row.label, similarity))
        return tuple(list(found.values())[:NEIGHBOURS])

    def _heats(self) -> dict[tuple[str, str], str]:
        """Return pictures of where each model looked, by model and path: the best model first."""
        pictures: dict[tuple[str, str], str] = {}
        allowed = self.budget.at_most(heat_seconds(self.so_far))
        total = sum(self._heats_wanted(exhibit) for exhibit in self.exhibits)
        with self.progress.step("where the models looked", total) as bar:
            for number, exhibit in enumerate(self.exhibits):
                left = len(self.exhibits) - number
                part = 1.0 if left == 1 else BEST_SHARE if number == 0 else 1 / left
                with self._noted(f"where {exhibit.name} looked"):
                    for path, picture in self._heats_of(exhibit, allowed.share(part)):
                        pictures[exhibit.name, path] = picture
                        bar.advance()
        return pictures

    def _heats_wanted(self, exhibit: Exhibit) -> int:
        limit = MISTAKES if exhibit is self.exhibits[0] else HEATS
        return min(limit, len(self.shown[exhibit.name]))

    def _heats_of(self, exhibit: Exhibit, budget: Budget) -> Iterator[tuple[str, str]]:
        """Yield path and picture while the time lasts; each says how long the next will take."""
        by_this_model = set(exhibit.tasks[0].test.tolist())
        # With folds, the kept model is that of the first: it knows the photos of the others.
        paths = [
            path
            for path in self.shown[exhibit.name][: self._heats_wanted(exhibit)]
            if self.index[path] in by_this_model and path not in self.gone
        ]
        predicted = dict(zip(exhibit.test.paths, exhibit.test.predicted.tolist(), strict=True))
        if not paths:
            return
        budget.check()
        predictor = Predictor.load(exhibit.folder.bundle, self.threads)
        each = _map_seconds(predictor)
        for done, path in enumerate(paths):
            if budget.remaining <= each and done == 0:
                raise BudgetSpent
            if budget.remaining <= each:
                self.notes.append(
                    f"where {exhibit.name} looked is shown for {done} of {len(paths)} mistakes: "
                    "there was no time for more"
                )
                return
            started = time.monotonic()
            photo = self.photos.one(self.index[path], exhibit.job.spec)
            heat = occlusion_map(predictor.probabilities, photo, predicted[path])
            overlay = heat_overlay(within(photo, HEAT_SIDE), heat)
            yield path, self.album.add(encode(overlay))
            each = time.monotonic() - started

    @contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        """Note what is left out when the block fails or its time is used up."""
        try:
            yield
        except BudgetSpent:
            self.notes.append(f"{what}: left out, there was no time for it")
        except PegboardError as error:
            self.notes.append(f"{what}: left out ({error})")


def heat_seconds(so_far: float) -> float:
    """Return how long finding out where the models looked may take after so long a run."""
    return min(HEAT_SECONDS, max(LEAST_HEAT_SECONDS, HEAT_SHARE * so_far))


def _map_seconds(predictor: Predictor) -> float:
    """Estimate how long one occlusion map takes, from the network's first answers."""
    noise = np.random.default_rng(0).integers(
        0, 256, (_TRIED, *predictor.info.input.shape), dtype=np.uint8
    )
    started = time.monotonic()
    predictor.probabilities(noise)
    return (time.monotonic() - started) * (1 + GRID * GRID) / _TRIED


def _compared_by(how: Likeness | str, *, found: bool) -> str:
    if isinstance(how, str):
        return how
    return how.words if found else "none: comparing was left out, as the notes say"
