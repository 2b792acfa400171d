"""The end of a run: the leaderboard is written, then what the report shows, then the report."""

from __future__ import annotations

from collections.abc import Sequence

from pegboard.illustrate import Exhibit, illustrate
from pegboard.leaderboard import Leaderboard
from pegboard.pipeline.active_run import ActiveRun
from pegboard.pipeline.reserves import REPORT_SECONDS
from pegboard.pipeline.training import Outcome
from pegboard.report import write_report
from pegboard.runs import write_json


def finish(run: ActiveRun, leaderboard: Leaderboard, outcomes: Sequence[Outcome]) -> None:
    """Write the results and the report; from here on the run counts as finished."""
    write_json(run.folder.leaderboard, leaderboard.to_json())
    run.note_finished()
    _illustrate(run, leaderboard, outcomes)
    write_report(run.folder.path)


def _illustrate(run: ActiveRun, leaderboard: Leaderboard, outcomes: Sequence[Outcome]) -> None:
    """Keep what the report shows of photos, best model first."""
    rows = [row for row in leaderboard.models if not row.baseline]
    rows.sort(key=lambda row: (row.name != leaderboard.best, -(row.validation_macro_f1 or 0)))
    of_name = {outcome.name: outcome for outcome in outcomes}
    run.budget.reserve = REPORT_SECONDS
    illustrate(
        run.folder,
        run.photos,
        [_exhibit(of_name[row.name]) for row in rows],
        also=[photo["path"] for photo in (leaderboard.corrections or {}).get("photos", ())],
        budget=run.budget,
        threads=run.threads,
        progress=run.progress,
    )


def _exhibit(outcome: Outcome) -> Exhibit:
    trainings = outcome.trainings if outcome.is_pooled else outcome.trainings[:1]
    tasks = [training.round.task for training in trainings]
    return Exhibit(trainings[0].job, tasks, trainings[0].folder, outcome.test())
