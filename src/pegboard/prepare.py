"""From what the user asked to photos that are split and models that can be trained.

Nothing is written and nothing is trained here; whatever must be refused is refused here.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pegboard.audit.balance import UNEVEN
from pegboard.budget import Budget
from pegboard.corrections import (
    LabelChange,
    apply_corrections,
    decisions_by_action,
    label_changes,
    read_corrections,
)
from pegboard.embed import Embedder
from pegboard.errors import BudgetSpent, MissingExtra, ModelError, PegboardError, SourceError
from pegboard.growing import (
    Origin,
    check_models,
    check_photos,
    check_start,
    check_unseen,
    check_weights,
    growth_notes,
    open_origin,
)
from pegboard.inputs import FITS, Fit, InputSpec, fitted
from pegboard.intake import take_in
from pegboard.manifest import fingerprint, read_manifest
from pegboard.metrics import confusion_matrix, macro_f1
from pegboard.models.registry import (
    SMALL_SIDE,
    ModelName,
    check_architecture,
    check_input,
    input_spec,
    parse_model_name,
    parse_model_names,
)
from pegboard.models.weights import ResolvedWeights, parse_weights_option, resolve_weights
from pegboard.photos import Intake, Photo, Source, SplitName
from pegboard.progress import Progress
from pegboard.recipes import Recipe, recipe_for
from pegboard.runs import RUNS, RunFolder, read_json, runs_of
from pegboard.sampling import each_class_in_turn
from pegboard.settings import (
    DEFAULT_FRACTIONS,
    DEFAULT_MODELS,
    DEFAULT_SMALL_MODELS,
    NOTEBOOK_FRACTIONS,
    CompareSettings,
)
from pegboard.sources import SourceOptions, open_source
from pegboard.split import Split, split_photos
from pegboard.threads import default_threads, small_products

SQUARE = 1.02
"""Photos whose longer side is at most this many times the shorter need no fit."""

FIT_BUDGET = 0.25
"""Largest share of a time budget that choosing the fit may take."""

FIT_TRAIN, FIT_VALIDATION = 700, 300
"""Photos on which the fit is chosen: enough to tell fits apart that differ by some points."""


@dataclass(frozen=True)
class FitChoice:
    """Which fit was chosen, and why; ``scores`` are validation macro-F1, where measured."""

    fit: Fit
    reason: str
    scores: Mapping[Fit, float] | None = None


@dataclass(frozen=True)
class ModelPlan:
    """One model that will be trained, with everything that was decided about it."""

    name: ModelName
    spec: InputSpec
    recipe: Recipe
    weights: ResolvedWeights | None
    origin: Origin | None = None


@dataclass(frozen=True)
class Prepared:
    """Photos, split and models, checked and ready.

    ``photos`` stand in the order of ``split.rows``. ``kept`` are the earlier assignments by
    checksum, ``decisions`` how many corrections hold by action, and ``changes`` what they did.
    ``origin`` is the trained model that is gone on from.
    """

    source: Source
    intake: Intake
    split: Split
    photos: Sequence[Photo]
    classes: Sequence[str]
    names: Sequence[ModelName]
    weights: Mapping[str, ResolvedWeights]
    native: tuple[int, int, int] | None
    warnings: Sequence[str]
    kept: Mapping[str, SplitName] = field(default_factory=dict)
    decisions: Mapping[str, int] = field(default_factory=dict)
    changes: Sequence[LabelChange] = ()
    origin: Origin | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the manifest."""
        return fingerprint(self.split.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """``(N,)`` class index of every photo."""
        index = {name: number for number, name in enumerate(self.classes)}
        return np.array([index[row.label] for row in self.split.rows], dtype=np.int64)

    def indices(self, split: SplitName) -> NDArray[np.int64]:
        """Return the indices of the photos of one split."""
        return np.flatnonzero([row.split == split for row in self.split.rows])


def threads_of(settings: CompareSettings) -> int:
    """Return the threads to use: as asked, else the default."""
    return settings.threads or default_threads()


def prepare(
    settings: CompareSettings,
    *,
    source: Source | None = None,
    previous: Mapping[str, SplitName] | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Open, check and split the photos; resolve every model and its weights.

    Parameters
    ----------
    source
        The photos, if they are open already; by default what the settings name is opened.
    previous
        Assignments to keep (sha256 → split), such as those of the run that is resumed; by
        default those the settings name.

    Raises
    ------
    PegboardError
        For anything the user must change.
    """
    progress = progress or Progress()
    origin = open_origin(settings)
    names = parse_model_names(settings.models or (origin.info.name if origin else DEFAULT_MODELS))
    if origin:
        check_models(origin, names)
    options = [parse_weights_option(text) for text in settings.weights]
    for name in names:
        check_architecture(name.base)
    source = source or open_settings_source(settings)
    # What is quickly refused comes before the photos are read, which may take minutes.
    corrections = (
        read_corrections(settings.corrections, progress.message) if settings.corrections else None
    )
    if previous is None:
        previous = previous_assignments(settings, source, progress)
    weights = resolve_weights(names, options, allow_download=True)
    if origin:
        check_weights(origin, weights)
        check_start(origin, names, weights, settings.recipe)
        previous = origin.kept(previous)
    intake = take_in(
        source,
        merge=settings.merge,
        exclude=settings.exclude_class,
        threads=threads_of(settings),
        progress=progress,
    )
    changes: list[LabelChange] = []
    if corrections is not None:
        uncorrected, intake = (
            intake,
            apply_corrections(
                intake, corrections, merge=settings.merge, exclude=settings.exclude_class
            ),
        )
        changes = label_changes(uncorrected.photos, intake.photos)
    split = split_photos(
        intake,
        fractions=fractions_of(settings, names),
        seed=settings.split_seed,
        previous=previous,
        allow_leaks=settings.allow_leaks,
    )
    _check_trainable(split, settings)
    native = native_shape(split.photos)
    if origin:
        check_photos(origin, split.photos)
        check_unseen(origin, split.rows, allow_leaks=settings.allow_leaks)
    elif settings.models is None and native is not None and max(native[:2]) <= SMALL_SIDE:
        names = parse_model_names(DEFAULT_SMALL_MODELS)
    for name in names:
        check_input(name, input_spec(name, native_shape=native, image_size=settings.image_size))
    return Prepared(
        source=source,
        intake=intake,
        split=split,
        photos=split.photos,
        classes=sorted({row.label for row in split.rows}),
        names=names,
        weights=weights,
        native=native,
        warnings=[
            *intake.warnings,
            *split.warnings,
            *_imbalance(split, settings),
            *(growth_notes(origin, split.rows) if origin else ()),
        ],
        kept=previous or {},
        decisions=decisions_by_action(corrections or ()),
        changes=changes,
        origin=origin,
    )


def _check_trainable(split: Split, settings: CompareSettings) -> None:
    """Refuse a split that nothing can be learnt from, which only a given one is."""
    classes = sorted({row.label for row in split.rows if row.split == "train"})
    if len(classes) < 2:
        raise SourceError(
            f"expected training photos of at least two classes, found {len(classes)} "
            f"({', '.join(classes) or 'none'}); put photos of the others into train"
        )
    if not settings.folds and all(row.split != "validation" for row in split.rows):
        raise SourceError(
            "no photos are left to validate with: in train, all photos of a class are one group "
            "(copies, or one value of --group-column); add photos of other groups, or give "
            "validation photos"
        )


def _imbalance(split: Split, settings: CompareSettings) -> list[str]:
    """Say how uneven the classes are in training, and what is done about it."""
    counts = Counter(row.label for row in split.rows if row.split == "train")
    (largest, most), *_, (smallest, fewest) = counts.most_common()
    if most < UNEVEN * fewest:
        return []
    done = (
        "the notebooks' recipes do nothing about it"
        if settings.recipe == "notebook"
        else "errors on rare classes weigh more in training (class-weighted loss)"
    )
    return [
        f"the classes are uneven: {most} training photos of {largest!r}, {fewest} of "
        f"{smallest!r} ({most / fewest:.1f} : 1); {done}; go by macro-F1, which counts every "
        "class alike"
    ]


def refuse_run_folder(source: str) -> None:
    """Say what to do with a run where photos are expected.

    Raises
    ------
    SourceError
        When the source is the folder of a run.
    """
    if RunFolder(Path(source)).is_ours():
        run = shlex.quote(source)
        raise SourceError(
            f"{source} is a run of pegboard, not photos; to compare it with another run: "
            f"pegboard runs compare {run} OTHER; to make its report again: pegboard report {run}"
        )


def open_settings_source(settings: CompareSettings) -> Source:
    """Open the source the settings name.

    Raises
    ------
    SourceError
        When it cannot be used, or is the folder of a run.
    """
    refuse_run_folder(settings.source)
    options = SourceOptions(
        path_column=settings.path_column,
        label_column=settings.label_column,
        split_column=settings.split_column,
        group_column=settings.group_column,
    )
    return open_source(settings.source, options)


def fractions_of(
    settings: CompareSettings, names: Sequence[ModelName]
) -> tuple[float, float, float]:
    """Return the split's fractions: as asked, else the recipe's."""
    if settings.fractions:
        return settings.fractions
    if settings.recipe == "notebook":
        return NOTEBOOK_FRACTIONS
    return DEFAULT_FRACTIONS


def previous_assignments(
    settings: CompareSettings, source: Source, progress: Progress | None = None
) -> Mapping[str, SplitName] | None:
    """Return the assignments to keep: of the manifest named, else of the last like run.

    Runs are looked for in ``pegboard-runs/`` and where the new run goes.
    """
    if settings.previous == "none":
        return None
    if settings.previous is not None:
        return assignments(Path(settings.previous))
    places = [RUNS, settings.out.parent] if settings.out else [RUNS]
    for run in reversed(runs_of(source.location, *places)):
        with suppress(PegboardError, KeyError):
            earlier = read_json(run.run)["settings"]
            if _same_split(earlier, settings):
                kept = assignments(run.manifest)
                (progress or Progress()).message(f"photos of {run.path} keep their split")
                return kept
    return None


def _same_split(earlier: Mapping[str, object], settings: CompareSettings) -> bool:
    now = settings.deciding()
    keys = ("split_seed", "fractions", "folds", "group_column", "split_column")
    # The notebooks' recipes have fractions of their own.
    alike = (earlier.get("recipe") == "notebook") == (now["recipe"] == "notebook")
    return alike and all(earlier.get(key) == now[key] for key in keys)


def assignments(manifest: Path) -> Mapping[str, SplitName]:
    """Return the split of every photo of a manifest, by checksum."""
    return {row.sha256: row.split for row in read_manifest(manifest)}


def native_shape(photos: Sequence[Photo]) -> tuple[int, int, int] | None:
    """Return ``(height, width, channels)`` where all photos share it, else None.

    Photos of one size of which some are grey and some in colour count as colour.
    """
    sizes = {(photo.height, photo.width) for photo in photos}
    if len(sizes) != 1:
        return None
    height, width = sizes.pop()
    return height, width, max(photo.channels for photo in photos)


def plan_models(prepared: Prepared, settings: CompareSettings, fit: Fit) -> list[ModelPlan]:
    """Decide input and recipe of every model."""
    training = len(prepared.indices("train"))
    plans = []
    for name in prepared.names:
        weights = prepared.weights.get(name.base)
        spec = input_spec(
            name,
            native_shape=prepared.native,
            image_size=settings.image_size,
            recipe=settings.recipe,
            mean=weights.mean if weights else None,
            std=weights.std if weights else None,
        ).with_fit(fit)
        origin = prepared.origin if prepared.origin and prepared.origin.begins(name) else None
        if origin:
            spec = origin.info.input
        recipe = recipe_for(
            name,
            spec,
            classes=prepared.classes,
            training_photos=training,
            recipe=settings.recipe,
        )
        plans.append(ModelPlan(name, spec, _overridden(recipe, settings), weights, origin))
    return plans


def _overridden(recipe: Recipe, settings: CompareSettings) -> Recipe:
    """Put the user's own figures in place of the recipe's.

    Several phases keep their proportions: the epochs are given to the last one, and the
    learning rate to all.
    """
    phases = list(recipe.phases)
    if settings.epochs is not None and recipe.method != "logistic":
        phases = [replace(phases[-1], epochs=settings.epochs)] if len(phases) == 1 else [
            replace(phase, epochs=min(phase.epochs, settings.epochs)) for phase in phases
        ]  # fmt: skip
    if settings.learning_rate is not None:
        phases = [replace(phase, learning_rate=settings.learning_rate) for phase in phases]
    return replace(
        recipe, phases=tuple(phases), batch_size=settings.batch_size or recipe.batch_size
    )


def choose_fit(
    prepared: Prepared,
    settings: CompareSettings,
    *,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> FitChoice:
    """Choose how photos are brought to the models' shape, on validation, unless told.

    Each fit is judged by logistic regression on EfficientNet-Lite0 features of some training
    photos, scored on some validation photos: a minute's stand-in for training every model
    three times.
    """
    if settled := _settled_fit(prepared, settings):
        return settled
    try:
        weights = resolve_weights([parse_model_name("probe")], [], allow_download=False)
    except (MissingExtra, ModelError):
        return FitChoice("letterbox", "not measured: the backbone to measure with is not there")
    budget = (budget or Budget()).share(FIT_BUDGET)
    try:
        scores = _fit_scores(
            prepared, next(iter(weights.values())), settings, budget, progress or Progress()
        )
    except BudgetSpent:
        return FitChoice("letterbox", "not measured: the time budget is too short for it")
    best = max(scores, key=lambda fit: scores[fit])
    return FitChoice(best, "the best on validation photos", scores)


def _settled_fit(prepared: Prepared, settings: CompareSettings) -> FitChoice | None:
    """Return the fit where there is nothing to measure."""
    if prepared.origin:
        return FitChoice(prepared.origin.info.input.fit, "that of the model gone on from")
    if settings.fit != "auto":
        return FitChoice(settings.fit, "as asked")
    if settings.recipe == "notebook":
        return FitChoice("squash", "the notebooks stretch photos to a square")
    if _squareness(prepared.photos) <= SQUARE:
        return FitChoice("letterbox", "all photos are square already, so every fit is the same")
    return None


def _squareness(photos: Sequence[Photo]) -> float:
    return max(max(photo.height, photo.width) / min(photo.height, photo.width) for photo in photos)


def _fit_scores(
    prepared: Prepared,
    weights: ResolvedWeights,
    settings: CompareSettings,
    budget: Budget,
    progress: Progress,
) -> dict[Fit, float]:
    train = _drawn(prepared, "train", FIT_TRAIN, settings.split_seed)
    validation = _drawn(prepared, "validation", FIT_VALIDATION, settings.split_seed)
    name = parse_model_name("probe")
    scores: dict[Fit, float] = {}
    # Letterbox first: it loses nothing of the photo, so it wins ties.
    for fit in sorted(FITS, key=lambda fit: fit != "letterbox"):
        spec = input_spec(name).with_fit(fit)
        embedder = Embedder(name.base, weights, spec, threads=threads_of(settings))
        features = embedder.features(
            _items(prepared, np.concatenate((train, validation)), spec),
            budget=budget,
            progress=progress,
        )
        scores[fit] = _probe_score(
            features[: len(train)], prepared.labels[train],
            features[len(train) :], prepared.labels[validation],
            len(prepared.classes),
        )  # fmt: skip
    return scores


def _drawn(prepared: Prepared, split: SplitName, most: int, seed: int) -> NDArray[np.int64]:
    indices = prepared.indices(split)
    return np.asarray(indices[each_class_in_turn(prepared.labels[indices], most, seed)])


def _items(
    prepared: Prepared, indices: NDArray[np.int64], spec: InputSpec
) -> list[tuple[str, Callable[[], NDArray[np.uint8]]]]:
    def reader(path: str) -> Callable[[], NDArray[np.uint8]]:
        return lambda: fitted(prepared.source.read(path), spec)

    photos = [prepared.photos[index] for index in indices]
    return [(photo.pixels, reader(photo.path)) for photo in photos]


def _probe_score(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    held_out: NDArray[np.float32],
    truths: NDArray[np.int64],
    classes: int,
) -> float:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    with small_products():
        predicted = probe.fit(features, labels).predict(held_out)
    return macro_f1(confusion_matrix(truths, predicted, classes))
