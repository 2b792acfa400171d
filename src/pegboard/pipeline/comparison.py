"""A comparison from the first check to the report.

Everything that can be refused is refused before the run folder is made or anything is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pegboard.budget import Budget
from pegboard.corrections import read_corrections
from pegboard.history.finished import FinishedRun
from pegboard.leaderboard import Leaderboard
from pegboard.photos import SPLITS, Source, SplitName
from pegboard.pipeline.active_run import ActiveRun
from pegboard.pipeline.answering import open_test
from pegboard.pipeline.before import (
    Before,
    before_folder,
    find_before,
    named_before,
    stopped_before,
    without_corrections,
)
from pegboard.pipeline.finishing import finish
from pegboard.pipeline.reserves import for_any_models
from pegboard.pipeline.resume import check_same_data, resumed_assignments, run_folder
from pegboard.pipeline.scoring import score
from pegboard.pipeline.training import train_models, trained_ones
from pegboard.prepare import (
    FitChoice,
    ModelPlan,
    Prepared,
    choose_fit,
    open_settings_source,
    plan_models,
    prepare,
    previous_assignments,
)
from pegboard.progress import Progress
from pegboard.runs import RUNS, RunFolder, check_usable, default_path
from pegboard.settings import CompareSettings
from pegboard.train import choose_device


def compare(
    settings: CompareSettings,
    *,
    source: Source | None = None,
    command: str = "pegboard.compare(…)",
    progress: Progress | None = None,
    started: float | None = None,
) -> tuple[RunFolder, Leaderboard]:
    """Train, evaluate and compare models on a source; write the run folder.

    Parameters
    ----------
    source
        The photos, if they are open already; by default what the settings name is opened.
    started
        What ``time.monotonic()`` said when the budget began to run, if that was earlier.

    Returns
    -------
    The run folder and its leaderboard.

    Raises
    ------
    PegboardError
        For anything the user must change; nothing is written then, unless training had
        begun.
    Interrupted
        On Ctrl-C while models are trained or measured; what was done is kept.
    """
    progress = progress or Progress()
    budget = Budget(settings.budget, started=started)
    choose_device(settings.device)
    folder = run_folder(settings)
    asked = settings
    if folder and stopped_before(settings, folder):
        settings = replace(settings, resume=False)
    check_usable(
        folder or RunFolder(RUNS / "new"), resume=settings.resume, overwrite=settings.overwrite
    )
    named = named_before(settings)
    if settings.before == "train":
        source = source or open_settings_source(settings)
        folder = folder or _new_folder(source)
        named = _train_before(
            asked, folder, source, command=command, progress=progress, started=started
        )
    previous = _previous(settings, folder, source, named, progress)
    prepared = prepare(settings, source=source, previous=previous, progress=progress)
    folder = folder or _new_folder(prepared.source)
    if settings.resume:
        check_same_data(folder, prepared)
    tell_intake(prepared, progress, folds=settings.folds or 0)
    before = Before(named)
    if settings.corrections and named is None:
        before = find_before(settings, prepared)
    if before.why_not:
        progress.message(f"note: before and after: {before.why_not}")
    run = ActiveRun(settings, prepared, folder, command=command, budget=budget, progress=progress)
    return folder, _carry_out(run, before)


def _new_folder(source: Source) -> RunFolder:
    return RunFolder(default_path(source.name, datetime.now().astimezone()))


def _train_before(
    settings: CompareSettings,
    folder: RunFolder,
    source: Source,
    *,
    command: str,
    progress: Progress,
    started: float | None,
) -> FinishedRun:
    """Train the models on the labels as they are, in a run of its own beside ``folder``."""
    assert settings.corrections is not None
    read_corrections(settings.corrections)  # refused now rather than after the first training
    beside = before_folder(folder)
    progress.message(f"before: training without the corrections, in {beside.path}")
    uncorrected = without_corrections(settings, beside)
    compare(uncorrected, source=source, command=command, progress=progress, started=started)
    progress.message("after: training with the corrections")
    return FinishedRun.read(beside)


def _previous(
    settings: CompareSettings,
    folder: RunFolder | None,
    source: Source | None,
    before: FinishedRun | None,
    progress: Progress,
) -> Mapping[str, SplitName] | None:
    """Return the split to keep: of the run that is resumed, or that was just trained before.

    None where :func:`prepare` looks for one itself.
    """
    resumed = resumed_assignments(folder, settings) if folder and settings.resume else None
    if resumed is not None or settings.before != "train" or before is None:
        return resumed
    earlier = previous_assignments(settings, source, progress) if source else None
    return {**(earlier or {}), **{row.sha256: row.split for row in before.rows}}


def tell_intake(prepared: Prepared, progress: Progress, *, folds: int = 0) -> None:
    """Say what was found, left out and how it was split."""
    counts = {split: len(prepared.indices(split)) for split in SPLITS}
    parts = ", ".join(f"{split} {number}" for split, number in counts.items())
    left_out = len(prepared.split.left_out)
    used = len(prepared.split.rows)
    progress.message(
        f"{prepared.source.name}: {used + left_out} found, {used} used, {left_out} left out; "
        f"{len(prepared.classes)} classes; {f'{used} photos, {folds} folds' if folds else parts}"
    )
    for warning in prepared.warnings:
        progress.message(f"note: {warning}")


def _carry_out(run: ActiveRun, before: Before) -> Leaderboard:
    """Choose the fit, train, open the test set, evaluate and report."""
    run.begin()
    try:
        with run.marked():
            fit = _fit(run)
            plans = plan_models(run.prepared, run.settings, fit.fit)
            _note_plans(run, fit, plans)
            outcomes = train_models(run, plans)
            trained = trained_ones(outcomes, run.settings)
            open_test(run, trained)
            leaderboard = score(run, trained, outcomes, before)
            finish(run, leaderboard, outcomes)
    finally:
        run.photos.close()
    return leaderboard


def _fit(run: ActiveRun) -> FitChoice:
    """Choose the fit; a resumed run keeps the one its models were trained with."""
    earlier = run.record.get("fit")
    if earlier:
        return FitChoice(earlier["chosen"], earlier["reason"], earlier["scores"])
    run.budget.reserve = for_any_models(run.budget)
    return choose_fit(run.prepared, run.settings, budget=run.budget, progress=run.progress)


def _note_plans(run: ActiveRun, fit: FitChoice, plans: Sequence[ModelPlan]) -> None:
    run.note_plans(fit, plans)
    if fit.scores:
        scores = ", ".join(f"{name} {each:.3f}" for name, each in fit.scores.items())
        run.progress.message(f"fit: {fit.fit} ({fit.reason}; macro-F1 {scores})")
