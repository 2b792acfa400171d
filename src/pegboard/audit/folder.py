"""The folder that a check writes: the one place that knows where its files lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pegboard.audit.findings import Finding, Outcome, read_findings
from pegboard.errors import RunFolderError
from pegboard.files import LEFTOVERS

DEFAULT = Path("pegboard-check")
"""Where findings go, below the working directory."""

FORMAT = 1

MARK = "pegboard"
"""Key of ``check.json`` by which a folder is known to be ours."""


@dataclass(frozen=True)
class CheckFolder:
    """Files of one check."""

    path: Path

    @property
    def findings(self) -> Path:
        """Every finding."""
        return self.path / "findings.csv"

    @property
    def record(self) -> Path:
        """What was checked, how, and what came of it."""
        return self.path / "check.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def pictures(self) -> Path:
        """The small pictures that the page shows."""
        return self.path / "pictures.zip"

    @property
    def photos(self) -> Path:
        """The photos that were checked, so that ``review`` finds their features again."""
        return self.path / "photos.csv"

    @property
    def corrections(self) -> Path:
        """Decisions of people, written by ``review``; a check never touches it."""
        return self.path / "corrections.csv"

    def is_ours(self) -> bool:
        """Whether the folder holds a ``check.json`` that pegboard wrote."""
        with suppress(OSError, ValueError):
            data = json.loads(self.record.read_text("utf-8"))
            return isinstance(data, dict) and MARK in data
        return False

    def remove_contents(self) -> None:
        """Remove what a check writes, and nothing else: corrections stay."""
        named = (self.findings, self.report, self.pictures, self.photos)
        for file in (*named, *self.path.glob(LEFTOVERS)):
            file.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)  # last: by it the folder is known to be ours

    def read(self) -> CheckRecord:
        """Return what ``check.json`` says.

        Raises
        ------
        RunFolderError
            When it is missing, damaged, or of a newer pegboard.
        """
        return CheckRecord.from_json(_read_json(self.record), self.record)

    def read_findings(self) -> list[Finding]:
        """Return ``findings.csv``; PegboardError when it is missing or damaged."""
        return read_findings(self.findings)


@dataclass(frozen=True)
class CheckRecord:
    """What ``check.json`` says.

    Attributes
    ----------
    source, location
        As typed by the user; the absolute path, or the name of a built-in source.
    settings
        Everything that decided: merged and excluded classes, columns of a table, corrections.
    found, used
        Files met, photos used.
    left_out
        How many were left out, by reason.
    classes
        Photos of each class; {} without classes.
    outcomes
        One per code.
    facts, thresholds
        As in :class:`~pegboard.audit.run.AuditResult`.
    thumbnails, samples
        As in :class:`~pegboard.audit.exhibits.Exhibits`: what the page shows of photos.
    warnings
        What intake said.
    fingerprint
        Hash of the photos checked: paths, labels and contents.
    versions, seconds, finished
        With what, how long it took, and when it ended.
    """

    source: str
    location: str
    settings: Mapping[str, Any]
    found: int
    used: int
    left_out: Mapping[str, int]
    classes: Mapping[str, int]
    outcomes: Sequence[Outcome]
    facts: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    thumbnails: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    finished: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, marked as ours."""
        from pegboard import __version__  # noqa: PLC0415

        return {MARK: __version__, "format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any, file: Path) -> CheckRecord:
        """Rebuild from :meth:`to_json`; ``file`` is named in messages.

        Raises
        ------
        RunFolderError
            When the data is not what pegboard wrote, or of a newer pegboard.
        """
        version = data.get("format") if isinstance(data, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise RunFolderError(
                f"{file} has format {version} and this pegboard reads up to {FORMAT}; "
                "update pegboard: pip install --upgrade pegboard"
            )
        try:
            values = {name: data[name] for name in cls.__dataclass_fields__}
            values["outcomes"] = tuple(Outcome(**outcome) for outcome in values["outcomes"])
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise RunFolderError(
                f"{file} is not what pegboard wrote ({error!r}); check the photos again"
            ) from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{path.parent} holds no check: it has no {path.name}; make one with "
            "`pegboard check SOURCE`"
        ) from error
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error
