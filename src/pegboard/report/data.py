"""What is said of the photos: counts, samples, what was left out, what belongs together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pegboard.evidence import Evidence
from pegboard.photos import SPLITS
from pegboard.report import figures
from pegboard.report.context import (
    Chart,
    CountRow,
    DataSection,
    ModelSection,
    PhotoGroup,
    PhotoView,
    ReasonRow,
)
from pegboard.report.numbers import whole_percent
from pegboard.report.run import Json, Run, Shelf
from pegboard.report.store import Pictures
from pegboard.words import count

MOST_NAMED_PHOTOS = 8
MOST_WARNINGS = 50
MOST_GROUPS = 12
MOST_IN_GROUP = 8


def data_section(
    run: Run,
    shelf: Shelf,
    evidence: Evidence | None,
    pictures: Pictures,
    models: Sequence[ModelSection],
) -> DataSection:
    """Return what is said of the photos; ``models`` are the sections, the best one first."""
    left_out = run.intake.get("left_out", ())
    counts = _counts(run)
    totals = [sum(getattr(row, split) for row in counts) for split in SPLITS]
    best = next((model for model in models if model.best), None)
    return DataSection(
        found=run.intake["found"],
        used=run.intake["used"],
        left_out=len(left_out),
        counts=counts,
        totals=_count_row("all classes", totals, sum(totals)),
        balance=_balance(run, counts, shelf),
        reasons=_reasons(left_out),
        warnings=tuple(_warnings(run))[:MOST_WARNINGS],
        samples=_samples(run, evidence, pictures),
        sight_of=best.name if best else "",
        sight=best.sight if best else None,
        duplicates=_duplicates(evidence, pictures),
        duplicates_note=_duplicates_note(run),
        notes=_notes(evidence),
    )


def train_counts(run: Run) -> dict[str, int]:
    """Return the number of training photos of every class; with folds, all photos are."""
    folds = run.leaderboard["dataset"].get("folds")
    tally = Counter(row.label for row in run.manifest if folds or row.split == "train")
    return {label: tally[label] for label in run.classes}


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
    folds = run.leaderboard["dataset"].get("folds")
    return shelf.put(
        "class-balance",
        figures.class_balance(run),
        caption="Photos of each class."
        if folds
        else "Photos of each class in each part of the data.",
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


def _samples(run: Run, evidence: Evidence | None, pictures: Pictures) -> tuple[PhotoGroup, ...]:
    if evidence is None:
        return ()
    groups = (
        PhotoGroup(
            label,
            tuple(
                PhotoView(path, pictures.of(path), f"Training photo of {label}")
                for path in evidence.samples.get(label, ())
                if pictures.of(path)
            ),
        )
        for label in run.classes
    )
    return tuple(group for group in groups if group.photos)


def _duplicates(evidence: Evidence | None, pictures: Pictures) -> tuple[PhotoGroup, ...]:
    groups = evidence.duplicates[:MOST_GROUPS] if evidence else ()
    return tuple(
        PhotoGroup(
            count(len(paths), "photo"),
            tuple(
                PhotoView(path, pictures.of(path), f"Photo {path}", (path,))
                for path in paths[:MOST_IN_GROUP]
            ),
        )
        for paths in groups
    )


def _duplicates_note(run: Run) -> str:
    sizes = [size for size in Counter(row.group for row in run.manifest).values() if size > 1]
    if not sizes:
        return "No two photos had to be kept together: none is a copy or near copy of another."
    one = len(sizes) == 1
    return (
        f"{count(sum(sizes), 'photo')} belong to {count(len(sizes), 'group')} of copies, near "
        f"copies, or photos that were given as belonging together. {'The' if one else 'Each'} "
        "group lies whole in one part of the data, so that no model was tested on a photo it "
        "had learned."
    )


def _notes(evidence: Evidence | None) -> tuple[str, ...]:
    if evidence is None:
        return (
            "This run kept no pictures of its photos: it was made by an earlier version, or they "
            "were removed. Compare again to have them here.",
        )
    return evidence.notes
