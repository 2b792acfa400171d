"""Train one model on photos that were handed over, without a test set and without a run folder.

The stages are those of ``compare``: intake, split, plan, training, calibration, export with
its proof. Only the test photos are missing: whoever calls this tests elsewhere.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import Bundle, read_bundle
from pegboard.errors import InputError, SourceError
from pegboard.finish import answer, bundle
from pegboard.intake import take_in
from pegboard.leaderboard import machine_info
from pegboard.learn import Task, train_job
from pegboard.loader import Photos
from pegboard.models.registry import check_architecture, check_input, parse_model_names
from pegboard.models.weights import parse_weights_option, resolve_weights
from pegboard.photos import Intake
from pegboard.pipeline.rounds import job_of, task_of
from pegboard.prepare import (
    ModelPlan,
    Prepared,
    choose_fit,
    native_shape,
    plan_models,
    threads_of,
)
from pegboard.progress import Progress
from pegboard.runs import ModelFolder, read_history
from pegboard.settings import CompareSettings
from pegboard.sources.given import GivenSource
from pegboard.split import Split, hold_out


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes
    ----------
    bundle
        The model as it is kept in a ``.pegboard`` file.
    history
        Figures per epoch, as in ``history.csv``.
    validation
        Indices of the photos that were held out.
    conflicts
        Photos whose very picture also stands there under another label.
    """

    bundle: Bundle
    history: Sequence[Mapping[str, float]]
    validation: NDArray[np.int64]
    conflicts: Sequence[str]


def fit_photos(
    source: GivenSource,
    classes: Sequence[str],
    settings: CompareSettings,
    *,
    validation_fraction: float,
    progress: Progress | None = None,
) -> Fitted:
    """Train the one model that the settings name.

    Parameters
    ----------
    source
        The photos; all are used.
    classes
        Names in the order of the probabilities.
    settings
        Model, recipe, epochs, seeds …; what concerns sources and test sets is passed over.
    validation_fraction
        Share of the photos that epochs and temperature are chosen on; duplicates stay together.

    Raises
    ------
    InputError
        When a photo cannot be used.
    PegboardError
        When the model is unknown, does not fit the photos, or lacks weights.
    """
    progress = progress or Progress()
    prepared = _prepare(source, classes, settings, validation_fraction, progress)
    plan = _plan(prepared, settings, progress)
    photos = Photos(source, prepared.split.rows, threads=threads_of(settings))
    task = _task(prepared, photos)
    job = job_of(plan, settings, settings.seed)
    try:
        with tempfile.TemporaryDirectory(prefix="pegboard-fit-") as path:
            folder = ModelFolder(Path(path), plan.name.slug)
            train_job(job, task, folder, progress=progress)
            answers = answer(job, task, folder, progress=progress)
            file, _ = bundle(job, task, folder, answers, versions=machine_info().versions)
            trained = replace(read_bundle(file), path=Path(file.name))
            history = read_history(folder.history)
    finally:
        photos.close()
    return Fitted(trained, history, prepared.indices("validation"), _conflicts(prepared))


def _prepare(
    source: GivenSource,
    classes: Sequence[str],
    settings: CompareSettings,
    validation_fraction: float,
    progress: Progress,
) -> Prepared:
    names = parse_model_names(settings.models or "")
    if len(names) != 1:
        raise InputError(f"model: expected the name of one model, got {settings.models!r}")
    check_architecture(names[0].base)
    options = [parse_weights_option(text) for text in settings.weights]
    weights = resolve_weights(names, options, allow_download=True)
    intake = _take_in(source, settings, progress)
    rows = hold_out(intake.photos, validation_fraction, settings.split_seed)
    return Prepared(
        source=source,
        intake=intake,
        split=Split(rows, intake.photos, intake.left_out),
        photos=intake.photos,
        classes=classes,
        names=names,
        weights=weights,
        native=native_shape(intake.photos),
        warnings=intake.warnings,
    )


def _take_in(source: GivenSource, settings: CompareSettings, progress: Progress) -> Intake:
    try:
        intake = take_in(source, threads=threads_of(settings), progress=progress)
    except SourceError as error:
        raise InputError(str(error)) from error
    if intake.left_out:
        first = intake.left_out[0]
        raise InputError(
            f"{len(intake.left_out)} of {intake.found} photos cannot be used; the first is "
            f"{first.path} ({first.reason}: {first.detail}); leave them out, with their labels"
        )
    return intake


def _plan(prepared: Prepared, settings: CompareSettings, progress: Progress) -> ModelPlan:
    (plan,) = plan_models(prepared, settings, "letterbox")
    check_input(plan.name, plan.spec)
    if prepared.native == plan.spec.shape:  # nothing to fit
        return plan
    fit = choose_fit(prepared, settings, progress=progress).fit
    return replace(plan, spec=plan.spec.with_fit(fit))


def _task(prepared: Prepared, photos: Photos) -> Task:
    train, validation = prepared.indices("train"), prepared.indices("validation")
    if not len(validation):  # every class is a single group of duplicates
        validation = train
    # The exported model is compared with the trained one on the photos that validate.
    return task_of(prepared, photos, train, validation, test=validation)


def _conflicts(prepared: Prepared) -> list[str]:
    labels: dict[str, set[str]] = {}
    for photo in prepared.photos:
        labels.setdefault(photo.pixels, set()).add(photo.label)
    return [photo.path for photo in prepared.photos if len(labels[photo.pixels]) > 1]
