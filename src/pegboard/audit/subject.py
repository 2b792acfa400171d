"""What the checks look at: the photos of one source, opened once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.alignment import FINE
from pegboard.audit.likeness import Likeness, near_copies
from pegboard.audit.traits import Traits, measure
from pegboard.budget import Budget
from pegboard.duplicates import DuplicateGroups, connect, duplicate_groups
from pegboard.embed import Embedder, Features
from pegboard.errors import FeaturesUnavailable, MissingExtra, ModelError
from pegboard.images import to_pixels
from pegboard.inputs import InputSpec, fitted
from pegboard.models.registry import input_spec, parse_model_name
from pegboard.models.weights import resolve_weights
from pegboard.photos import Intake, Photo, Pixels, Source, SplitName
from pegboard.progress import Progress

UNLABELLED = ""
"""Label of every photo of a source without classes."""


class Subject:
    """The photos of one source, and what is computed of them once, on first use.

    Parameters
    ----------
    source
        Where the photos come from.
    intake
        Photos used and left out; photos without a class have the label :data:`UNLABELLED`.
    threads
        For decoding and for features; None: the cores this process may use.
    progress
        Where progress is told.
    budget
        Wall time left; long work looks at it.
    """

    def __init__(
        self,
        source: Source,
        intake: Intake,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.source = source
        self.intake = intake
        self.threads = threads
        self.progress = progress or Progress()
        self.budget = budget or Budget()
        self.facts: dict[str, Any] = {}
        """What a check tells besides findings, as plain JSON by name; kept in ``check.json``. Of a
        fact that is a dictionary with a sentence ``words``, terminal and page show the sentence."""
        self._features: Features | None = None
        self._traits: Traits | None = None
        self._likeness: Likeness | None = None

    @property
    def photos(self) -> Sequence[Photo]:
        """The ``N`` photos that can be used, in the source's order."""
        return self.intake.photos

    def __len__(self) -> int:
        return len(self.intake.photos)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, sorted; () where there are not two of them."""
        names = sorted({photo.label for photo in self.photos} - {UNLABELLED})
        return tuple(names) if len(names) > 1 else ()

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """``(N,)`` index of every photo's class in :attr:`classes`; None without classes."""
        if not self.classes:
            return None
        index = {name: number for number, name in enumerate(self.classes)}
        return np.array([index[photo.label] for photo in self.photos], dtype=np.int64)

    @cached_property
    def splits(self) -> tuple[SplitName | None, ...]:
        """The split that the source itself gives each photo, None where it gives none."""
        return tuple(photo.split for photo in self.photos)

    @cached_property
    def duplicates(self) -> DuplicateGroups:
        """Equal photos, confirmed near duplicates and the user's groups."""
        return duplicate_groups(self.photos)

    @property
    def groups(self) -> NDArray[np.int64]:
        """``(N,)`` duplicate group of every photo; no fold or split may part one."""
        return self.duplicates.codes

    def likeness(self) -> Likeness:
        """Return the photos that are nearly copies, confirmed by comparing pixels, found once.

        Without features it goes by small grey pictures alone, and says what may be missed.

        Raises
        ------
        BudgetSpent
            When time runs out.
        """
        if self._likeness is None:
            features, missed = None, ""
            try:
                features = self.features()
            except FeaturesUnavailable as error:
                missed = f"Copies cropped by more than a tenth may have been missed: {error}"
            found = near_copies(
                self.photos,
                lambda index: self.pixels(index, at_least=FINE),
                features=features,
                known=[(pair.a, pair.b) for pair in self.duplicates.pairs if pair.kind == "near"],
                threads=self.threads,
                budget=self.budget,
                progress=self.progress,
            )
            self._likeness = replace(found, missed=missed)
        return self._likeness

    def near_pairs(self) -> list[tuple[int, int, float]]:
        """Return confirmed near duplicates as ``(first, second, likeness 0..1)``, by index.

        One photo, the first, stands for all of equal pixels.
        """
        return [(pair.first, pair.second, pair.score) for pair in self.likeness().pairs]

    def related(self) -> NDArray[np.int64]:
        """Return ``(N,)`` groups as :attr:`groups`, joined where photos are confirmed near copies.

        Mirrored, turned and cropped copies too: none of them may vouch for another's label.
        """
        groups = self.groups
        pairs = [(int(groups[one]), int(groups[other])) for one, other, _ in self.near_pairs()]
        joined: NDArray[np.int64] = connect(int(groups.max(initial=-1)) + 1, pairs)[groups]
        return joined

    def looks(self) -> Traits:
        """Return simple statistics of every photo, measured once.

        Raises
        ------
        BudgetSpent
            When time runs out.
        """
        if self._traits is None:
            self._traits = measure(
                self.source,
                self.photos,
                threads=self.threads,
                budget=self.budget,
                progress=self.progress,
            )
        return self._traits

    def payload(self, index: int) -> bytes | Pixels:
        """Return a photo's file as it is, or its pixels where there is no file."""
        return self.source.read(self.photos[index].path)

    def pixels(self, index: int, *, at_least: int | None = None) -> Pixels:
        """Return a photo's oriented pixels.

        ``at_least`` allows a smaller decode, as in :func:`pegboard.images.decode`.
        """
        return to_pixels(self.payload(index), at_least=at_least)

    def features(self) -> Features:
        """Return ``(N, D)`` float32 features of the whole photo, computed once and cached.

        EfficientNet-Lite0 at 224 px, letterbox, so that nothing is cut off.

        Raises
        ------
        FeaturesUnavailable
            Saying what is missing and how to install it.
        BudgetSpent
            When time runs out; what was computed is kept for the next call.
        """
        if self._features is None:
            embedder = self.embedder()
            items = [
                (photo.pixels, self._fitted(photo.path, embedder.spec)) for photo in self.photos
            ]
            try:
                self._features = embedder.features(
                    items, budget=self.budget, progress=self.progress
                )
            except (MissingExtra, ModelError) as error:
                raise FeaturesUnavailable(str(error)) from error
        return self._features

    def embedder(self) -> Embedder:
        """Return what computes :meth:`features`, for features of views of photos.

        Raises
        ------
        FeaturesUnavailable
            When the backbone's weights are not installed.
        """
        name = parse_model_name("probe")
        try:
            weights = resolve_weights([name], [], allow_download=False)
        except (MissingExtra, ModelError) as error:
            raise FeaturesUnavailable(str(error)) from error
        spec = input_spec(name).with_fit("letterbox")
        return Embedder(name.base, weights[name.base], spec, threads=self.threads)

    def _fitted(self, path: str, spec: InputSpec) -> Callable[[], Pixels]:
        return lambda: fitted(self.source.read(path), spec)
