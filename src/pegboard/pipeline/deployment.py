"""Each model as one file: exported, timed, and given its final figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import BundleInfo, rewrite_info, tell_size
from pegboard.errors import BundleError, PegboardError
from pegboard.finish import bundle
from pegboard.leaderboard import ModelRow
from pegboard.pipeline.active_run import ActiveRun
from pegboard.pipeline.training import Outcome
from pegboard.predict import Predictor
from pegboard.sampling import evenly
from pegboard.speed import measure
from pegboard.tallies import Answered, tallied

SPEED_PHOTOS = 64

BASELINE_PHOTOS = 128
"""Validation photos that are counted: a change of a tenth of the photos shows against so many."""


@dataclass(frozen=True)
class Deployed:
    """A model's bundle, what it says of the model, and how fast it answers, if measured."""

    path: Path
    info: BundleInfo
    speed: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    """What validation photos are like to it, as counts (:class:`pegboard.tallies.Tallies`)."""


def deploy(run: ActiveRun, outcome: Outcome) -> Deployed | None:
    """Export a model and measure the file; what cannot be had is left out, and said."""
    training, task = outcome.trainings[0], outcome.trainings[0].round.task
    try:
        path, info = bundle(
            training.job,
            task,
            training.folder,
            outcome.answers[0],
            versions=run.machine.versions,
            wrong_at_most=run.settings.wrong_at_most,
        )
    except BundleError as error:
        run.warn(f"{outcome.name} has no bundle: {error}")
        return None
    payloads = [run.photos.payload(int(index)) for index in task.test[:SPEED_PHOTOS]]
    baseline = _baseline(run, path, task.validation)
    try:
        speed = asdict(measure(path, payloads, threads=run.threads))
    except PegboardError as error:
        run.warn(str(error))
        speed = {}
    return Deployed(path, info, speed, baseline)


def _baseline(run: ActiveRun, path: Path, validation: NDArray[np.int64]) -> dict[str, Any]:
    """Count what some validation photos are like to a bundle, to tell later what has changed."""
    predictor = Predictor.load(path, run.threads)
    photos = [
        predictor.fit(run.photos.payload(int(index)))
        for index in evenly(validation, BASELINE_PHOTOS)
    ]
    looked = zip(photos, predictor.look(photos), strict=True)
    return tallied(
        Answered(photo, predictor.row(seen), seen.strangeness) for photo, seen in looked
    ).to_json()


def with_final_figures(row: ModelRow, deployed: Deployed, data: Mapping[str, Any]) -> ModelRow:
    """Put a model's final figures into its bundle, and the bundle's size into the figures."""
    known = {**data, "baseline": deployed.baseline}
    # Nearly right already, so that the whole file is written once less.
    row = replace(row, size_bytes=deployed.path.stat().st_size)
    rewrite_info(deployed.path, replace(deployed.info, data=known, figures=row.to_json()))
    return replace(row, size_bytes=tell_size(deployed.path))
