"""Each model as one file: exported, timed, and given its final figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pegboard.bundle import BundleInfo, rewrite_info
from pegboard.errors import BundleError, PegboardError
from pegboard.finish import bundle
from pegboard.leaderboard import ModelRow
from pegboard.pipeline.active_run import ActiveRun
from pegboard.pipeline.training import Outcome
from pegboard.speed import measure

SPEED_PHOTOS = 64


@dataclass(frozen=True)
class Deployed:
    """A model's bundle, what it says of the model, and how fast it answers, if measured."""

    path: Path
    info: BundleInfo
    speed: Mapping[str, Any] = field(default_factory=dict)


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
        )
    except BundleError as error:
        run.warn(f"{outcome.name} has no bundle: {error}")
        return None
    payloads = [run.photos.payload(int(index)) for index in task.test[:SPEED_PHOTOS]]
    try:
        return Deployed(path, info, asdict(measure(path, payloads, threads=run.threads)))
    except PegboardError as error:
        run.warn(str(error))
        return Deployed(path, info)


def with_final_figures(row: ModelRow, deployed: Deployed, data: Mapping[str, Any]) -> ModelRow:
    """Put a model's final figures into its bundle, and the bundle's size into the figures.

    The size stands in the file whose size it is, so it is written until it holds.
    """
    path, info = deployed.path, replace(deployed.info, data=data)
    for _ in range(4):
        if row.size_bytes == path.stat().st_size:
            break
        row = replace(row, size_bytes=path.stat().st_size)
        rewrite_info(path, replace(info, figures=row.to_json()))
    return row
