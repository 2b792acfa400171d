"""The check command: open a source, run every check, and write what was found."""

from __future__ import annotations

import os
import shlex
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pegboard.audit.codes import NAMES
from pegboard.audit.exhibits import Exhibits, make_exhibits
from pegboard.audit.findings import Finding, write_findings
from pegboard.audit.folder import DEFAULT, CheckFolder, CheckRecord
from pegboard.audit.photos import write_photos
from pegboard.audit.run import AuditResult, run_checks
from pegboard.audit.subject import UNLABELLED, Subject
from pegboard.budget import Budget
from pegboard.corrections import apply_corrections, read_corrections
from pegboard.errors import PegboardError, RunFolderError, SourceError
from pegboard.intake import take_in
from pegboard.leaderboard import machine_info
from pegboard.manifest import ManifestRow, fingerprint
from pegboard.photos import Intake, Listing, Photo, Pixels, Source
from pegboard.pictures import write_pictures
from pegboard.prepare import refuse_run_folder
from pegboard.progress import Progress
from pegboard.report.check_page import write_check_page
from pegboard.runs import write_json
from pegboard.sources import SourceOptions, open_source


@dataclass(frozen=True)
class CheckSettings:
    """What the user asks of ``check``.

    Attributes
    ----------
    source
        What the user typed.
    out
        Folder for the findings.
    overwrite
        Replace a check of another source in ``out``, although corrections lie beside it.
    merge, exclude_class
        Classes renamed, classes left out.
    corrections
        A file of decisions that are applied first.
    budget
        Seconds of wall time; checks not reached say so.
    """

    source: str
    out: Path = DEFAULT
    overwrite: bool = False
    merge: Mapping[str, str] = field(default_factory=dict)
    exclude_class: tuple[str, ...] = ()
    path_column: str = "path"
    label_column: str = "label"
    split_column: str = "split"
    group_column: str = "group"
    corrections: Path | None = None
    threads: int | None = None
    budget: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain = asdict(self)
        return {
            key: str(value) if isinstance(value, Path) else value for key, value in plain.items()
        }


@dataclass(frozen=True)
class Checked:
    """What ``check`` wrote, and what it found."""

    folder: CheckFolder
    record: CheckRecord
    findings: Sequence[Finding]

    @property
    def counted(self) -> list[Finding]:
        """Warnings and errors."""
        return [finding for finding in self.findings if finding.counts]

    def gate(self, codes: Collection[str]) -> str:
        """Return in words which of these codes were found; empty where none was.

        Raises
        ------
        PegboardError
            When one of them could not be looked for: a gate must not pass unseen.
        """
        unseen = [one for one in self.record.outcomes if one.code in codes and one.blocked]
        if unseen:
            raise PegboardError(
                f"--fail-on {unseen[0].code}: it could not be checked; {unseen[0].why}"
            )
        found = [one for one in self.record.outcomes if one.code in codes and one.count]
        return ", ".join(f"{one.count:,} {one.code}" for one in found)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        record = self.record.to_json()
        del record["thumbnails"], record["samples"]
        return record | {
            "folder": str(self.folder.path),
            "findings": [asdict(finding) for finding in self.counted],
        }


def check_source(
    settings: CheckSettings, *, progress: Progress | None = None, started: float | None = None
) -> Checked:
    """Check a source and write the findings.

    Parameters
    ----------
    started
        What ``time.monotonic`` said when the command began.

    Raises
    ------
    PegboardError
        When the source cannot be read, or ``out`` cannot or must not be written.
    """
    progress = progress or Progress()
    started = time.monotonic() if started is None else started
    budget = Budget(settings.budget, started=started)
    source = open_to_check(settings)
    folder = CheckFolder(settings.out)
    check_usable(folder, source.location, overwrite=settings.overwrite)
    intake = intake_to_check(source, settings, progress)
    subject = Subject(source, intake, threads=settings.threads, progress=progress, budget=budget)
    result = run_checks(subject)
    exhibits = make_exhibits(subject, result.findings)
    record = _record(settings, subject, result, exhibits, time.monotonic() - started)
    write_check(folder, record, result.findings, exhibits)
    write_photos(folder.photos, subject.photos)
    write_check_page(folder)
    return Checked(folder, record, result.findings)


def open_to_check(settings: CheckSettings) -> Source:
    """Open the source the settings name; SourceError when it cannot be used."""
    refuse_run_folder(settings.source)
    if CheckFolder(Path(settings.source)).is_ours():
        raise SourceError(
            f"{settings.source} holds what an earlier check found, not photos; to go through it: "
            f"{shlex.join(['pegboard', 'review', settings.source])}"
        )
    options = SourceOptions(
        path_column=settings.path_column,
        label_column=settings.label_column,
        split_column=settings.split_column,
        group_column=settings.group_column,
    )
    return open_source(settings.source, options)


def intake_to_check(source: Source, settings: CheckSettings, progress: Progress) -> Intake:
    """Open every photo; those of a source without classes have the label ``UNLABELLED``."""
    corrections = (
        read_corrections(settings.corrections, progress.message) if settings.corrections else None
    )
    listed = _Listed(source, without_classes(source.listing()))
    intake = take_in(
        listed,
        merge=settings.merge,
        exclude=settings.exclude_class,
        threads=settings.threads,
        progress=progress,
        may_be_empty=True,
    )
    if corrections is not None:
        intake = apply_corrections(
            intake, corrections, merge=settings.merge, exclude=settings.exclude_class
        )
    return intake


def without_classes(listing: Listing) -> Listing:
    """Return a listing of fewer than two classes with no photo in any, else as it is.

    Photos beside one another, or in a single folder, have no class that means anything.
    """
    if len({entry.label for entry in listing.entries} - {None}) > 1:
        return listing
    return replace(listing, entries=[replace(entry, label=UNLABELLED) for entry in listing.entries])


class _Listed:
    """A source with its listing at hand."""

    def __init__(self, source: Source, listing: Listing) -> None:
        self.name, self.location = source.name, source.location
        self._source, self._listing = source, listing

    def listing(self) -> Listing:
        return self._listing

    def read(self, path: str) -> bytes | Pixels:
        return self._source.read(path)


def check_usable(folder: CheckFolder, location: str, *, overwrite: bool) -> None:
    """Refuse an output folder that cannot or must not be written, before any work is done.

    Raises
    ------
    RunFolderError
        When the path is a file, is not writable, holds anything that no check wrote, or holds
        the corrections of another source and ``overwrite`` is not given.
    """
    path = folder.path
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"--out {path} is a file; name a folder that is new or empty")
    existing = path if path.exists() else _first_parent(path)
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"cannot write {path}: no permission in {existing}; name a folder of yours with --out"
        )
    if not path.exists() or not any(path.iterdir()):
        return
    if not folder.is_ours() and {file.name for file in path.iterdir()} != {"corrections.csv"}:
        raise RunFolderError(
            f"{path} is not empty and holds no check.json of pegboard, so nothing in it is "
            "touched; name another folder with --out"
        )
    if folder.is_ours() and folder.corrections.exists() and not overwrite:
        before = folder.read().location
        if before != location:
            raise RunFolderError(
                f"{path} holds the check of {before} with corrections made for it; name another "
                "folder with --out, or give --overwrite to replace all but the corrections"
            )


def _first_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())


def write_check(
    folder: CheckFolder, record: CheckRecord, findings: Sequence[Finding], exhibits: Exhibits
) -> None:
    """Replace what an earlier check wrote in the folder."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.remove_contents()
    except OSError as error:
        raise RunFolderError(f"cannot write {folder.path}: {error.strerror}") from error
    # First: a folder in which anything else lies is known to be ours.
    write_json(folder.record, record.to_json())
    write_findings(folder.findings, findings)
    write_pictures(folder.pictures, exhibits.pictures)


def _record(
    settings: CheckSettings,
    subject: Subject,
    result: AuditResult,
    exhibits: Exhibits,
    seconds: float,
) -> CheckRecord:
    photos, intake = subject.photos, subject.intake
    return CheckRecord(
        source=settings.source,
        location=subject.source.location,
        settings=settings.to_json(),
        found=intake.found,
        used=len(photos),
        left_out=dict(Counter(item.reason for item in intake.left_out).most_common()),
        classes=dict(sorted(Counter(p.label for p in photos).items())) if subject.classes else {},
        outcomes=tuple(result.outcomes),
        facts=result.facts,
        thresholds=result.thresholds,
        thumbnails=exhibits.thumbnails,
        samples=exhibits.samples,
        warnings=tuple(intake.warnings),
        fingerprint=_fingerprint(photos),
        versions=machine_info().versions,
        seconds=round(seconds, 2),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _fingerprint(photos: Collection[Photo]) -> str:
    return fingerprint(
        ManifestRow(photo.path, photo.label, photo.split or "train", "", photo.sha256)
        for photo in photos
    )


def codes_to_fail_on(text: str | None) -> frozenset[str]:
    """Return the codes of ``--fail-on``; ``any`` means all of them.

    Raises
    ------
    PegboardError
        When one is not a code.
    """
    given = [name.strip() for name in (text or "").split(",") if name.strip()]
    if text is not None and not given:
        raise PegboardError("--fail-on: expected codes such as unreadable,leak, found none")
    unknown = [name for name in given if name not in (*NAMES, "any")]
    if unknown:
        raise PegboardError(
            f"--fail-on: {unknown[0]!r} is no code; expected any, or some of {', '.join(NAMES)}"
        )
    return frozenset(NAMES if "any" in given else given)
