"""What is trained on what: every model once for each seed, or once for each fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegboard.folds import fold_numbers
from pegboard.learn import Job, Task
from pegboard.loader import Photos
from pegboard.photos import SPLITS
from pegboard.pipeline.active_run import ActiveRun
from pegboard.prepare import ModelPlan, Prepared, threads_of
from pegboard.settings import CompareSettings


@dataclass(frozen=True)
class Round:
    """One training of every model: a seed, or a fold. ``part`` is its subfolder, if any."""

    part: str
    task: Task
    seed: int


def rounds_of(run: ActiveRun) -> list[Round]:
    """Return the rounds of a run, the one whose models are deployed first."""
    if run.settings.folds:
        return _folds(run, run.settings.folds)
    splits = [run.prepared.indices(split) for split in SPLITS]
    task = task_of(run.prepared, run.photos, *splits)
    seeds = run.record["seeds"]
    return [Round(f"seed-{seed}" if seed != seeds[0] else "", task, seed) for seed in seeds]


def _folds(run: ActiveRun, folds: int) -> list[Round]:
    prepared, settings = run.prepared, run.settings
    groups = [row.group or row.path for row in prepared.split.rows]
    fold_of = fold_numbers(prepared.labels, groups, folds=folds, seed=settings.split_seed)
    rounds = []
    for fold in range(folds):
        validation = (fold + 1) % folds
        task = task_of(
            prepared,
            run.photos,
            np.flatnonzero((fold_of != fold) & (fold_of != validation)),
            np.flatnonzero(fold_of == validation),
            np.flatnonzero(fold_of == fold),
        )
        rounds.append(Round(f"fold-{fold + 1}" if fold else "", task, settings.seed))
    return rounds


def task_of(
    prepared: Prepared,
    photos: Photos,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    test: NDArray[np.int64],
) -> Task:
    """Return the task of learning from some of the photos, given by their indices."""
    return Task(
        photos=photos,
        keys=[photo.pixels for photo in prepared.photos],
        classes=prepared.classes,
        labels=prepared.labels,
        train=train,
        validation=validation,
        test=test,
        fingerprint=prepared.fingerprint,
    )


def job_of(plan: ModelPlan, settings: CompareSettings, seed: int) -> Job:
    """Return the training of a planned model with one seed."""
    return Job(
        plan.name,
        plan.spec,
        plan.recipe,
        plan.weights,
        seed,
        settings.device,
        threads_of(settings),
        start=None if plan.origin is None else plan.origin.start(),
    )
