"""From what the user named to a review: findings of a check, or the mistakes of a run."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pegboard.audit.folder import DEFAULT, CheckFolder
from pegboard.audit.photos import read_photos
from pegboard.audit.subject import Subject
from pegboard.audit_words import source_options
from pegboard.budget import Budget
from pegboard.corrections import CorrectionsLog
from pegboard.errors import BudgetSpent, PegboardError, SourceError
from pegboard.evaluate import read_predictions
from pegboard.evidence import Evidence
from pegboard.intake import choose_classes
from pegboard.manifest import read_manifest
from pegboard.photos import Intake, Source
from pegboard.review.cases import cell_findings, parse_cell, queue_of
from pegboard.review.gallery import Gallery
from pegboard.review.nearby import Arriving, ByFeatures, KeptNeighbours, Nearby, Samples
from pegboard.review.session import Review
from pegboard.runs import RunFolder, read_json, slug_of
from pegboard.sources import SourceOptions, open_source


@dataclass(frozen=True)
class Opened:
    """A review that can begin.

    Attributes
    ----------
    review
        Its state.
    source
        As the next command has to name it.
    notes
        What the user should know first.
    settings
        Of the check or run: how the next command has to read the source.
    """

    review: Review
    source: str
    notes: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def next_commands(self) -> tuple[str, str]:
        """What to do with the decisions: train with them, or write a cleaned copy."""
        file = [*source_options(self.settings), "--corrections", str(self.review.log.path)]
        return (
            shlex.join(["pegboard", "compare", self.source, *file]),
            shlex.join(["pegboard", "apply", self.source, *file, "--to", "DIR"]),
        )


def open_review(
    target: str,
    *,
    findings: Path | None = None,
    cell: str | None = None,
    corrections: Path | None = None,
    reviewer: str | None = None,
) -> Opened:
    """Open what the user wants to go through.

    Parameters
    ----------
    target
        A source, a run folder, or the folder of a check.
    findings
        Folder of a check; for a source ``pegboard-check`` by default.
    cell
        ``TRUE,PREDICTED``: of a run, only the photos of this cell of its confusion matrix.
    corrections
        Where decisions go; by default ``corrections.csv`` in the folder of the run or check.
    reviewer
        Who decides; by default the user's name on this machine.

    Raises
    ------
    PegboardError
        When there is nothing to go through, or decisions could not be written.
    """
    reviewer = reviewer or user_name()
    run = RunFolder(Path(target))
    if run.is_ours():
        return _open_run(run, findings, cell, corrections, reviewer)
    if cell is not None:
        raise PegboardError(
            f"--cell needs a run folder of pegboard, with a run.json; {target} is none"
        )
    check = CheckFolder(findings or DEFAULT)
    if findings is None and CheckFolder(Path(target)).is_ours():
        check = CheckFolder(Path(target))
        target = check.read().location
    return _open_check(target, check, corrections, reviewer)


def user_name() -> str:
    """Return the user's name on this machine, or ``reviewer`` where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"


# --- the findings of a check --------------------------------------------------------------


def _open_check(target: str, check: CheckFolder, corrections: Path | None, reviewer: str) -> Opened:
    if not check.findings.exists():
        raise PegboardError(
            f"there are no findings in {check.path}; make them with "
            f"`{shlex.join(['pegboard', 'check', target])}`, or name their folder with --findings"
        )
    record = check.read() if check.record.exists() else None
    settings = record.settings if record else {}
    source = open_source(target, SourceOptions.of(settings))
    if record is not None and record.location != source.location:
        raise PegboardError(
            f"{check.path} holds the findings of {record.location}, not of {source.location}; "
            f"check {target} first, or name its findings with --findings"
        )
    labels = labels_of(source, settings)
    log = CorrectionsLog(corrections or check.corrections, reviewer)
    classes = _classes(labels)
    queue = queue_of(check.read_findings(), labels, classes)
    nearby = Arriving(Samples(labels), lambda: _by_features(check, source))
    review = Review(source.name, queue, Gallery(source, labels), nearby, classes, log)
    return _opened(review, target, settings)


def _by_features(check: CheckFolder, source: Source) -> Nearby | None:
    """Return what finds the nearest by the features that the check computed, if they are kept."""
    if not check.photos.exists():
        return None
    photos = read_photos(check.photos)
    # Without any time, features are read and never computed.
    subject = Subject(source, Intake(photos, ()), budget=Budget(0.0))
    try:
        features = subject.features()
    except BudgetSpent:
        return None
    return ByFeatures([one.path for one in photos], [one.label for one in photos], features)


def labels_of(source: Source, settings: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the class of every photo by path, with the classes merged as they were then."""
    entries, _ = choose_classes(
        source.listing().entries, settings.get("merge") or {}, settings.get("exclude_class") or ()
    )
    return {entry.path: entry.label for entry in entries}


def _classes(labels: Mapping[str, str | None]) -> list[str]:
    names = sorted({label for label in labels.values() if label})
    return names if len(names) > 1 else []


def _opened(review: Review, source: str, settings: Mapping[str, Any]) -> Opened:
    queue, log = review.queue, review.log
    notes = list(log.told)
    if queue.missing:
        notes.append(
            f"{queue.missing} findings name photos that are not there any more; "
            "check again to be rid of them"
        )
    if queue.elsewhere:
        counts = ", ".join(f"{count} {code}" for code, count in sorted(queue.elsewhere.items()))
        notes.append(f"not on this page, because they are about files or classes: {counts}")
    if not queue.cases:
        raise PegboardError(
            "there is nothing to go through: no warning or error about a photo was found"
            + "".join(f"; {note}" for note in notes)
        )
    return Opened(review, source, tuple(notes), settings)


# --- the mistakes of a run ----------------------------------------------------------------


def _open_run(
    run: RunFolder,
    findings: Path | None,
    cell: str | None,
    corrections: Path | None,
    reviewer: str,
) -> Opened:
    leaderboard, record = read_json(run.leaderboard), read_json(run.run)
    settings = record.get("settings", {})
    where = str(record.get("source", {}).get("location", ""))
    try:
        source = open_source(where, SourceOptions.of(settings))
    except SourceError as error:
        raise SourceError(f"the photos of {run.path} cannot be opened: {error}") from error
    rows = read_manifest(run.manifest)
    labels: dict[str, str | None] = {row.path: row.label for row in rows}
    classes = list(leaderboard["dataset"]["classes"])
    best = leaderboard.get("best")
    if not best:
        raise PegboardError(f"{run.path} has no best model, so there are no answers to go through")
    wanted = parse_cell(cell, classes) if cell is not None else None
    groups = {row.path: row.group for row in rows}
    answers = read_predictions(run.model(slug_of(best)).predictions, groups)
    found = cell_findings(best, [answers[name] for name in sorted(answers)], wanted)
    if wanted is not None and not found:
        raise PegboardError(
            f"{best} took no photo of {wanted[0]} for {wanted[1]}, so there is nothing to go "
            "through; name another cell, or leave --cell out"
        )
    if findings is not None:
        found += CheckFolder(findings).read_findings()
    log = CorrectionsLog(corrections or run.path / "corrections.csv", reviewer)
    evidence = Evidence.read(run)
    review = Review(
        f"{run.path.name}, {best}",
        queue_of(found, labels, classes),
        Gallery(source, labels, _spare(evidence)),
        _run_neighbours(evidence, best, Samples(labels)),
        classes,
        log,
    )
    opened = _opened(review, where, settings)
    return replace(opened, notes=(*opened.notes, *_earlier(settings, log)))


def _spare(evidence: Evidence | None) -> dict[str, bytes]:
    if evidence is None:
        return {}
    return {path: evidence.picture(name) for path, name in evidence.thumbnails.items()}


def _run_neighbours(evidence: Evidence | None, best: str, rest: Nearby) -> Nearby:
    model = evidence.models.get(best) if evidence else None
    if evidence is None or model is None:
        return rest
    kept = {mistake.path: mistake.neighbours for mistake in model.mistakes}
    return KeptNeighbours(kept, evidence.neighbours_by, rest)


def _earlier(settings: Mapping[str, Any], log: CorrectionsLog) -> Sequence[str]:
    file = settings.get("corrections")
    if not file or Path(file).resolve() == log.path.resolve():
        return ()
    return (
        f"this run was made with the corrections {file}; to use both, put them together: "
        f"{shlex.join(['pegboard', 'review', '--merge', str(file), str(log.path), '--out'])} FILE",
    )
