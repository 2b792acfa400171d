"""From the files of a run folder to the context of its report."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from pegboard import __version__
from pegboard.photos import SPLITS
from pegboard.report.board import (
    anchor_of,
    comparisons,
    curves_chart,
    highlights,
    leaderboard,
    not_trained,
    pareto_chart,
    score_chart,
)
from pegboard.report.context import RepeatSection, ReportContext
from pegboard.report.corrected import changed_paths, corrections_section, labels_to_check
from pegboard.report.data import data_section, train_counts
from pegboard.report.numbers import bytes_of
from pegboard.report.run import Json, Run, Shelf
from pegboard.report.sections import model_sections, shown_mistakes, shown_models
from pegboard.report.store import Pictures, photo_store, wanted_pictures
from pegboard.words import advice, summary

SURE_MISTAKE = 0.9
"""A wrong answer with this probability is as likely a wrong label as a mistake."""


def build_context(run: Run, shelf: Shelf) -> ReportContext:
    """Turn a run's files into everything its report shows.

    Raises
    ------
    RunFolderError
        When a file of the run is missing or damaged.
    """
    dataset = run.leaderboard["dataset"]
    n = max((model["n"] for model in run.models), default=0)
    rows = leaderboard(run, n)
    evidence = run.evidence
    answers = {name: run.answers(name) for name in shown_models(run)}
    wanted: Iterable[str] = (
        wanted_pictures(evidence, answers, shown_mistakes(run)) if evidence else ()
    )
    if evidence:
        changed = (evidence.thumbnails.get(path) for path in changed_paths(run))
        wanted = chain((name for name in changed if name), wanted)
    pictures = Pictures(evidence, wanted)
    models = model_sections(run, n, shelf, evidence, pictures)
    return ReportContext(
        name=dataset["name"],
        subtitle=_subtitle(dataset),
        date=date_of(run.run.get("started")),
        version=__version__,
        summary=tuple(summary(dict(run.leaderboard))),
        advice=tuple(
            advice(run.leaderboard, train_counts(run), _sure_mistakes(run), labels_to_check(run))
        ),
        highlights=highlights(run, n),
        n=n,
        folds=run.run.get("folds") or 0,
        several_seeds=any(row.seeds_accuracy.exact for row in rows),
        rows=rows,
        scores=score_chart(run, shelf),
        pareto=pareto_chart(run, shelf),
        curves=curves_chart(run, shelf),
        comparisons=comparisons(run),
        corrections=corrections_section(run, pictures),
        not_trained=not_trained(run),
        models=models,
        store=photo_store(
            answers, {name: anchor_of(run, run.model(name)) for name in answers}, pictures
        ),
        data=data_section(run, shelf, evidence, pictures, models),
        repeat=_repeat(run),
    )


def _sure_mistakes(run: Run) -> int:
    """Count the photos that the best model got wrong with great confidence."""
    if run.best is None or run.best not in shown_models(run):
        return 0
    answers = run.answers(run.best)
    return int((~answers.right & (answers.probabilities.max(axis=1) >= SURE_MISTAKE)).sum())


def _subtitle(dataset: Json) -> str:
    counts, folds = dataset["counts"], dataset.get("folds")
    photos = f"{sum(counts[split] for split in SPLITS):,} photos"
    classes = f"{len(dataset['classes'])} classes"
    if folds:  # the split is not the one that was trained on
        return f"{photos}, {folds} folds, {classes}"
    return f"{photos} of {classes}: " + ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)


def date_of(moment: Any) -> str:
    """Shorten an ISO date and time to the minute; empty for none."""
    text = str(moment or "")
    zone = " UTC" if text.endswith(("+00:00", "Z")) else ""
    return text.replace("T", " ")[:16] + zone


# How to repeat


def _repeat(run: Run) -> RepeatSection:
    machine = run.leaderboard.get("machine") or {}
    versions = machine.get("versions") or run.run.get("versions") or {}
    shown = {key: value for key, value in machine.items() if key != "versions"}
    if "memory_bytes" in shown:
        shown["memory"] = bytes_of(shown.pop("memory_bytes")).shown
    settings = dict(run.run.get("settings") or {})
    if "seeds" in run.run:
        settings["seeds"] = run.run["seeds"]
    if "fit" in run.run:
        settings["fit"] = _fit(run.run["fit"])
    return RepeatSection(
        command=_command(run.run.get("command")),
        opened=_opened(run.run.get("test_opened") or ()),
        fingerprint=run.leaderboard["dataset"].get("fingerprint") or "",
        settings=table_of(settings),
        machine=table_of(shown),
        versions=table_of(versions),
    )


def _fit(fit: Json) -> str:
    return f"{fit['chosen']} ({fit['reason']})" if fit.get("reason") else str(fit["chosen"])


def _opened(times: Sequence[Any]) -> str:
    if not times:
        return ""
    moments = ", ".join(date_of(time) for time in times)
    times_over = "once" if len(times) == 1 else f"{len(times)} times (the run was resumed)"
    return f"The test photos were opened {times_over}, after training: {moments}."


def _command(command: Any) -> str:
    if isinstance(command, str):
        return command
    return shlex.join(str(part) for part in command or ())


def table_of(values: Json) -> tuple[tuple[str, str], ...]:
    """Return names and values as text, without those that say nothing."""
    return tuple(
        (key.replace("_", " "), _plain(value))
        for key, value in values.items()
        if value not in (None, "", [], {})
    )


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(str(item) for item in value)
    return json.dumps(value, ensure_ascii=False)
