"""The run that a corrected one is compared with: the same models, without the corrections."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pegboard.errors import PegboardError, RunFolderError
from pegboard.evaluate import Predictions
from pegboard.history import find_run
from pegboard.history.effect import changed_photos, corrections_effect, effect_json
from pegboard.history.finished import FinishedRun
from pegboard.manifest import read_manifest
from pegboard.prepare import Prepared
from pegboard.runs import RUNS, RunFolder, read_json, runs_of
from pegboard.settings import CompareSettings

_MAY_DIFFER = {"source", "models", "seeds", "corrections", "allow_leaks"}
"""Settings that leave the first seed's figures of a model as they are."""

_MOST_NAMED = 3


@dataclass(frozen=True)
class Before:
    """The run before, or in one line why there is none and how to get it."""

    run: FinishedRun | None
    why_not: str = ""


def named_before(settings: CompareSettings) -> FinishedRun | None:
    """Return the run that ``--before`` names; None when it names none.

    Raises
    ------
    RunFolderError
        When it is no finished run.
    """
    if settings.before in (None, "train", "none"):
        return None
    assert settings.before is not None
    try:
        folder = find_run(settings.before)
        return FinishedRun.read(folder)
    except PegboardError as error:
        raise RunFolderError(
            f"--before: expected a finished run, 'train' or 'none'; {error}"
        ) from error


def find_before(settings: CompareSettings, prepared: Prepared) -> Before:
    """Return the newest finished run of the same source without corrections, made alike.

    Alike: with the same split, classes and training, with at least one of the models, and with
    some of the test photos. Runs are looked for in ``pegboard-runs/`` and where the new run
    goes.
    """
    if settings.before == "none":
        return Before(None, "not compared with a run before (--before none)")
    places = [RUNS, settings.out.parent] if settings.out else [RUNS]
    wanted = {name.typed for name in prepared.names}
    refused = ""
    for folder in reversed(runs_of(prepared.source.location, *places)):
        with suppress(PegboardError, KeyError, AttributeError):
            record = read_json(folder.run)
            if record["settings"].get("corrections") or record.get("status") != "finished":
                continue
            why = _unlike(record, settings, wanted) or _untested(folder, prepared)
            if not why:
                return Before(FinishedRun.read(folder))
            refused = refused or f" ({folder.path.name} {why})"
    return Before(
        None,
        f"no run without corrections was found that was made alike{refused}; to have one, "
        "add --before train (trains the models on the labels as they are, too) or --before RUN",
    )


def _unlike(record: Mapping[str, Any], settings: CompareSettings, wanted: set[str]) -> str:
    """Say in what a run was made otherwise; empty if in nothing."""
    earlier, now = record["settings"], settings.deciding()
    differing = [
        key.replace("_", " ")
        for key in now
        if key not in _MAY_DIFFER and earlier.get(key) != now[key]
    ]
    if differing:
        return f"differs in {', '.join(differing[:_MOST_NAMED])}"
    models = set(record.get("models") or ())
    return "" if wanted & models else f"has none of the models {', '.join(sorted(wanted))}"


def _untested(folder: RunFolder, prepared: Prepared) -> str:
    """Say that a run tested none of the photos that are tested now; empty if it did."""
    rows = read_manifest(folder.manifest)
    tested = {row.sha256 for row in rows if row.split == "test"}
    if any(row.split == "test" and row.sha256 in tested for row in prepared.split.rows):
        return ""
    return "tested other photos"


def before_folder(folder: RunFolder) -> RunFolder:
    """Return where the models are trained without the corrections, beside a run."""
    return RunFolder(folder.path.with_name(f"{folder.path.name}-before"))


def stopped_before(settings: CompareSettings, folder: RunFolder) -> bool:
    """Whether what is resumed was stopped while its run before was trained."""
    return (
        settings.before == "train"
        and settings.resume
        and not folder.is_ours()
        and before_folder(folder).is_ours()
    )


def without_corrections(settings: CompareSettings, beside: RunFolder) -> CompareSettings:
    """Return the settings of the run that is trained before; it gets half of the budget."""
    return replace(
        settings,
        out=beside.path,
        corrections=None,
        before=None,
        budget=settings.budget / 2 if settings.budget else None,
        resume=settings.resume and beside.is_ours(),
    )


def tell_effect(
    before: Before,
    prepared: Prepared,
    settings: CompareSettings,
    answers: Mapping[str, Predictions],
    record: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Return the key ``corrections`` of ``leaderboard.json``; None for a run without any.

    Parameters
    ----------
    before
        What is compared with.
    answers
        To the test photos, by model.
    record
        As in ``run.json``.
    """
    if settings.corrections is None:
        return None
    rows, run = prepared.split.rows, before.run
    kept: dict[str, str] = dict(prepared.kept)
    if run:
        kept |= {row.sha256: row.split for row in run.rows}
    changed = changed_photos(prepared.changes, rows, kept, folds=bool(settings.folds))
    grouped = prepared.decisions.get("same-object", 0)
    effect, why_not = None, before.why_not
    if not changed and not grouped:
        why_not = "the corrections change nothing, so there is nothing to compare"
    elif run:
        effect = corrections_effect(run, answers, rows, record, prepared.changes)
        if effect is None:
            why_not = f"{run.folder.path.name} has no model and test photo in common with this run"
    name = settings.corrections.name
    return effect_json(name, prepared.decisions, changed, effect, why_not)
