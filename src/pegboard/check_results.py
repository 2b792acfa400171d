"""A check in Python: its findings as data frames, and the commands to go on with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from html import escape
from pathlib import Path
from typing import Any, Literal

from pegboard.audit.findings import Finding, Outcome
from pegboard.audit.folder import CheckFolder
from pegboard.audit.photos import COLUMNS as PHOTO_COLUMNS
from pegboard.audit.photos import read_photos
from pegboard.audit_table import rows_of
from pegboard.audit_words import next_steps, summary
from pegboard.corrections import Correction, CorrectionsLog
from pegboard.errors import PegboardError, require_extra
from pegboard.notebook import html_table
from pegboard.photos import Photo
from pegboard.review.opening import user_name

_DECISIONS = ("keep", "relabel", "drop")


class Check:
    """What ``check`` found among the photos of a source.

    Made by :func:`pegboard.check`. Tables are pandas data frames (extra ``notebook``), made anew
    each time, so changing one changes nothing else.

    Parameters
    ----------
    path
        The folder of the check.

    Raises
    ------
    PegboardError
        When the folder holds no check, or a damaged one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._folder = CheckFolder(self.path)
        self._record = self._folder.read()
        self._findings = self._folder.read_findings()

    @property
    def findings(self) -> Any:
        """One row per finding, the worst first, mere notes (``info``) last.

        Columns are those of ``findings.csv``: ``path code severity score suggestion other_path
        explanation``.
        """
        return _frame(Finding, self._findings)

    @property
    def outcomes(self) -> Any:
        """One row per kind of finding: ``state`` is ``found``, ``clean`` or ``not-applicable``.

        ``count`` is of warnings and errors, ``why`` says what else there is to say.
        """
        return _frame(Outcome, self._record.outcomes).set_index("code")

    @property
    def summary(self) -> str:
        """What was looked at and what was found, a sentence per line."""
        return "\n".join(summary(self._record, self._findings))

    @property
    def report(self) -> Path:
        """The page with galleries."""
        return self._folder.report

    @property
    def corrections(self) -> Path:
        """Where ``pegboard review`` keeps decisions about these findings."""
        return self._folder.corrections

    @property
    def photos(self) -> Any:
        """One row per photo that was checked: ``path label sha256 pixels``."""
        pandas = require_extra("pandas", "notebook")
        rows = [[getattr(photo, name) for name in PHOTO_COLUMNS] for photo in self._photos()]
        return pandas.DataFrame(rows, columns=list(PHOTO_COLUMNS))

    def decide(
        self,
        path: str,
        action: Literal["keep", "relabel", "drop"],
        label: str = "",
        *,
        reason: str = "",
        reviewer: str | None = None,
    ) -> None:
        """Write one decision about a photo to :attr:`corrections`, as ``pegboard review`` does.

        A later decision about the same photo replaces an earlier one. The photo is not touched.

        Parameters
        ----------
        path
            The photo, as in :attr:`findings`.
        action
            ``keep`` its class, ``relabel`` it, or ``drop`` it.
        label
            The right class, for ``relabel``.
        reason
            Why, in words.
        reviewer
            Who decides; by default your user name.

        Raises
        ------
        PegboardError
            When the photo was not checked, the decision makes no sense, or the file cannot be
            written.
        """
        photo = next((photo for photo in self._photos() if photo.path == path), None)
        if photo is None:
            raise PegboardError(f"expected a photo that was checked, found {path!r}; see .photos")
        if action not in _DECISIONS:
            raise PegboardError(f"expected one of {', '.join(_DECISIONS)}, found {action!r}")
        if (action == "relabel") != bool(label):
            raise PegboardError(f"{action}: expected a label with relabel and only there")
        log = CorrectionsLog(self.corrections, reviewer or user_name())
        log.append([Correction(action, path, photo.sha256, photo.label, label, reason=reason)])

    def _photos(self) -> list[Photo]:
        return read_photos(self._folder.photos)

    def __repr__(self) -> str:
        counted = sum(finding.counts for finding in self._findings)
        return f"<pegboard check {str(self.path)!r}: {counted:,} warnings and errors>"

    def _repr_html_(self) -> str:
        rows = [
            (row.title, f"{row.count:,}", row.code, row.example) for row in rows_of(self._findings)
        ]
        table = html_table(("found", "", "code", "the surest of them"), rows) if rows else ""
        steps = "".join(
            f"<br>{escape(step.why)}: <code>{escape(step.command)}</code>"
            for step in next_steps(self._folder, self._record, self._findings)
        )
        return (
            f"<p>{escape(self.summary)}</p>{table}"
            f"<p>Report: <code>{escape(self.report.as_posix())}</code>{steps}</p>"
        )


def _frame(kind: type[Finding] | type[Outcome], rows: Sequence[Finding] | Sequence[Outcome]) -> Any:
    pandas = require_extra("pandas", "notebook")
    columns = [column.name for column in fields(kind)]
    return pandas.DataFrame([asdict(row) for row in rows], columns=columns)
