"""From the files of a run folder to the context of its report."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pegboard import __version__
from pegboard.photos import SPLITS
from pegboard.report import figures
from pegboard.report.board import (
    comparisons,
    highlights,
    leaderboard,
    not_trained,
    pareto_chart,
    score_chart,
)
from pegboard.report.context import (
    Chart,
    CountRow,
    DataSection,
    ReasonRow,
    RepeatSection,
    ReportContext,
)
from pegboard.report.numbers import bytes_of, whole_percent
from pegboard.report.run import Json, Run, Shelf
from pegboard.report.sections import model_sections
from pegboard.words import summary

MOST_NAMED_PHOTOS = 8
MOST_WARNINGS = 50


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
    return ReportContext(
        name=dataset["name"],
        subtitle=_subtitle(dataset),
        date=_date(run.run.get("started")),
        version=__version__,
        summary=tuple(summary(dict(run.leaderboard))),
        highlights=highlights(run, n),
        n=n,
        folds=run.run.get("folds") or 0,
        several_seeds=any(row.seeds_accuracy.exact for row in rows),
        rows=rows,
        scores=score_chart(run, shelf),
        pareto=pareto_chart(run, shelf),
        comparisons=comparisons(run),
        not_trained=not_trained(run),
        models=model_sections(run, n, shelf),
        data=_data(run, shelf),
        repeat=_repeat(run),
    )


def _subtitle(dataset: Json) -> str:
    counts = dataset["counts"]
    return (
        f"{sum(counts[split] for split in SPLITS):,} photos of {len(dataset['classes'])} classes: "
        + ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
    )


def _date(moment: Any) -> str:
    """Shorten an ISO date and time to the minute; empty for none."""
    text = str(moment or "")
    zone = " UTC" if text.endswith(("+00:00", "Z")) else ""
    return text.replace("T", " ")[:16] + zone


# Data


def _data(run: Run, shelf: Shelf) -> DataSection:
    left_out = run.intake.get("left_out", ())
    counts = _counts(run)
    totals = [sum(getattr(row, split) for row in counts) for split in SPLITS]
    return DataSection(
        found=run.intake["found"],
        used=run.intake["used"],
        left_out=len(left_out),
        counts=counts,
        totals=_count_row("all classes", totals, sum(totals)),
        balance=_balance(run, counts, shelf),
        reasons=_reasons(left_out),
        warnings=tuple(_warnings(run))[:MOST_WARNINGS],
    )


def _warnings(run: Run) -> Sequence[str]:
    found: Sequence[str] = run.intake.get("warnings") or run.run.get("warnings") or ()
    return found


def _counts(run: Run) -> tuple[CountRow, ...]:
    rows = run.manifest
    tally = Counter((row.label, row.split) for row in rows)
    return tuple(
        _count_row(label, [tally[label, split] for split in SPLITS], len(rows))
        for label in run.leaderboard["dataset"]["classes"]
    )


def _count_row(label: str, counts: Sequence[int], of: int) -> CountRow:
    train, validation, test = counts
    total = sum(counts)
    share = whole_percent(total / of if of else 0.0)
    return CountRow(label, train, validation, test, total, share)


def _balance(run: Run, counts: Sequence[CountRow], shelf: Shelf) -> Chart | None:
    if not counts:
        return None
    totals = [row.total for row in counts]
    return shelf.put(
        "class-balance",
        figures.class_balance(run),
        caption="Photos of each class in each part of the data.",
        alt=f"Photos per class: from {min(totals)} to {max(totals)}",
    )


def _reasons(left_out: Sequence[Json]) -> tuple[ReasonRow, ...]:
    by_reason: dict[str, list[Json]] = {}
    for entry in left_out:
        by_reason.setdefault(entry["reason"], []).append(entry)
    return tuple(
        ReasonRow(
            reason=reason,
            count=len(entries),
            examples=tuple(
                (entry["path"], entry.get("detail") or "") for entry in entries[:MOST_NAMED_PHOTOS]
            ),
            more=max(0, len(entries) - MOST_NAMED_PHOTOS),
        )
        for reason, entries in sorted(by_reason.items(), key=lambda item: -len(item[1]))
    )


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
        settings=_table(settings),
        machine=_table(shown),
        versions=_table(versions),
    )


def _fit(fit: Json) -> str:
    return f"{fit['chosen']} ({fit['reason']})" if fit.get("reason") else str(fit["chosen"])


def _opened(times: Sequence[Any]) -> str:
    if not times:
        return ""
    moments = ", ".join(_date(time) for time in times)
    times_over = "once" if len(times) == 1 else f"{len(times)} times (the run was resumed)"
    return f"The test photos were opened {times_over}, after training: {moments}."


def _command(command: Any) -> str:
    if isinstance(command, str):
        return command
    return shlex.join(str(part) for part in command or ())


def _table(values: Json) -> tuple[tuple[str, str], ...]:
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
