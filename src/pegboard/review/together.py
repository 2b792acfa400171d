"""Corrections of several people put together, and what they do not agree on made reviewable."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pegboard.audit.findings import Finding, write_findings
from pegboard.corrections import COLUMNS, Conflict, merge_corrections, read_corrections
from pegboard.corrections.lines import format_lines
from pegboard.errors import PegboardError
from pegboard.files import check_folder_of, write_bytes_atomically
from pegboard.review.cases import DISAGREE


@dataclass(frozen=True)
class Together:
    """What became of several files.

    ``told`` are notes on the way; ``findings`` is the folder in which conflicts can be gone
    through, None where there are none.
    """

    out: Path
    decisions: int
    conflicts: tuple[Conflict, ...]
    findings: Path | None
    told: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "corrections": str(self.out),
            "decisions": self.decisions,
            "conflicts": [
                {
                    "path": conflict.path,
                    "decisions": [
                        {
                            "reviewer": one.reviewer,
                            "action": one.action,
                            "label_after": one.label_after,
                            "time": one.time,
                        }
                        for one in conflict.decisions
                    ],
                }
                for conflict in self.conflicts
            ],
            "findings": None if self.findings is None else str(self.findings),
        }

    def lines(self) -> list[str]:
        """Return what to print."""
        lines = [*self.told, f"{self.out}: {self.decisions} decisions"]
        lines += [f"conflict: {one.path}: {one.in_words()}" for one in self.conflicts]
        if self.findings is not None:
            options = ["--findings", str(self.findings), "--corrections", str(self.out)]
            lines.append(f"{len(self.conflicts)} conflicts are left undecided; decide with:")
            lines.append(f"pegboard review SOURCE {shlex.join(options)}")
        return lines


def merge_files(files: Sequence[Path], out: Path) -> Together:
    """Put the decisions of several files together in a new one.

    What the files disagree on is not decided in it; it is written as findings beside it, to be
    gone through like any other.

    Raises
    ------
    PegboardError
        When a file cannot be read, ``out`` or the folder of conflicts is there already, or the
        folder of ``out`` is not.
    """
    check_folder_of(out)
    folder = out.with_name(f"{out.stem}-conflicts")
    for path in (out, folder):
        if path.exists():
            raise PegboardError(f"{path} is there already; name another file with --out")
    told: list[str] = []
    merged = merge_corrections([read_corrections(file, told.append) for file in files])
    header = (",".join(COLUMNS) + "\n").encode()
    if merged.conflicts:
        folder.mkdir()
        write_findings(folder / "findings.csv", [_finding(one) for one in merged.conflicts])
    write_bytes_atomically(out, header + format_lines(COLUMNS, merged.corrections))
    return Together(
        out,
        len(merged.corrections),
        merged.conflicts,
        folder if merged.conflicts else None,
        tuple(told),
    )


def _finding(conflict: Conflict) -> Finding:
    """Return a conflict as something to decide: the first label anyone gave is suggested."""
    labels = (one.label for one in conflict.decisions if one.label and one.action != "keep")
    return Finding(
        conflict.path,
        DISAGREE,
        "warning",
        1.0,
        suggestion=next(labels, ""),
        explanation=conflict.in_words(),
    )
