"""The runs there are: list them, and find one by its name."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pegboard.errors import PegboardError, RunFolderError
from pegboard.leaderboard import Leaderboard, ModelRow
from pegboard.runs import MARK, RUNS, RunFolder, process_start, read_json

Status = Literal["finished", "interrupted", "failed", "running", "damaged"]

QUIET_SECONDS = 600.0
"""A run whose process is gone and whose files have not changed for this long has stopped."""


@dataclass(frozen=True)
class BestModel:
    """The best model of a run on validation, with its figures on the ``n`` test photos."""

    name: str
    n: int
    accuracy: float
    accuracy_ci: tuple[float, float]
    macro_f1: float
    macro_f1_ci: tuple[float, float]

    @classmethod
    def of(cls, row: ModelRow) -> BestModel:
        """Take the figures from the leaderboard's row."""
        test = row.test
        return cls(
            row.name, test.n, test.accuracy, test.accuracy_ci, test.macro_f1, test.macro_f1_ci
        )


@dataclass(frozen=True)
class RunEntry:
    """One run as the list shows it.

    Attributes
    ----------
    name
        Of its folder.
    path
        Of its folder, as found.
    status
        ``damaged`` when a file of it cannot be read; ``problem`` says why.
    source
        Name of the data; empty if unknown.
    started
        ISO date and time; empty if unknown.
    best
        The best model; None until the run has finished.
    models
        Names as typed: those in the leaderboard, else those planned. Baselines left out.
    size_bytes
        Of everything in the folder.
    problem
        Why it is damaged, or what is odd about it; empty if nothing.
    """

    name: str
    path: Path
    status: Status
    source: str
    started: str
    best: BestModel | None
    models: tuple[str, ...]
    size_bytes: int
    problem: str = ""

    @property
    def folder(self) -> RunFolder:
        """Its files."""
        return RunFolder(self.path)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"path": str(self.path), "models": list(self.models)}


def list_runs(base: Path = RUNS, *, now: float | None = None) -> list[RunEntry]:
    """Return the runs in a folder, newest first; damaged ones last.

    Parameters
    ----------
    base
        A folder of run folders, or a run folder itself. A missing ``pegboard-runs/`` holds
        no runs.
    now
        Seconds since the epoch; the clock's time by default.

    Raises
    ------
    RunFolderError
        When another folder than ``pegboard-runs/`` is named and is none.
    """
    if not base.is_dir():
        if base == RUNS:
            return []
        raise RunFolderError(
            f"--in {base}: expected a folder that holds run folders, "
            f"found {'a file' if base.exists() else 'nothing'}"
        )
    folders = [base] if _looks_like_a_run(base) else filter(_looks_like_a_run, base.iterdir())
    entries = [read_entry(RunFolder(path), now=now) for path in folders]
    return sorted(entries, key=lambda entry: (entry.started, entry.name), reverse=True)


def _looks_like_a_run(path: Path) -> bool:
    folder = RunFolder(path)
    if not folder.run.is_file():
        # Without run.json, these two together are nobody else's.
        return folder.intake.is_file() and folder.manifest.is_file()
    with suppress(OSError, ValueError):
        data = json.loads(folder.run.read_text("utf-8"))
        return isinstance(data, dict) and MARK in data
    return True


def read_entry(folder: RunFolder, *, now: float | None = None) -> RunEntry:
    """Return what the list says of one run; a damaged one is described, never raised."""
    size_bytes, changed = _size_and_change(folder.path)
    name = folder.path.resolve().name
    try:
        record = read_json(folder.run)
        if not isinstance(record, dict) or MARK not in record:
            raise RunFolderError(f"{folder.run} was not written by pegboard")
    except RunFolderError as error:
        return RunEntry(name, folder.path, "damaged", "", "", None, (), size_bytes, str(error))
    status, problem = _status(record, idle=(now or time.time()) - changed)
    best, models = None, tuple(_mapping(record.get("models")))
    if status == "finished":
        try:
            board = Leaderboard.from_json(read_json(folder.leaderboard))
            models = tuple(row.name for row in board.models if not row.baseline)
            best = next((BestModel.of(row) for row in board.models if row.name == board.best), None)
        except PegboardError as error:
            status, problem = "damaged", str(error)
    return RunEntry(
        name=name,
        path=folder.path,
        status=status,
        source=str(_mapping(record.get("source")).get("name") or ""),
        started=str(record.get("started") or ""),
        best=best,
        models=models,
        size_bytes=size_bytes,
        problem=problem,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _status(record: Mapping[str, Any], *, idle: float) -> tuple[Status, str]:
    """Return the status; ``idle`` is how many seconds ago any file of the run changed."""
    # Runs of the first pegboard do not say; they were listed as runs when they had finished.
    said = record.get("status", "finished")
    if said in ("finished", "interrupted", "failed"):
        return said, ""
    if said != "running":
        return "damaged", f"run.json has the status {said!r}, which this pegboard does not know"
    if idle < QUIET_SECONDS or _is_alive(record.get("process"), record.get("process_start")):
        return "running", ""
    return "interrupted", "it ended without saying so; go on with pegboard compare … --resume"


def _is_alive(process: object, started: object) -> bool:
    """Whether the process that wrote a run is still there; ``started`` tells it from a later one.

    Runs of an earlier pegboard do not say when theirs started.
    """
    # On Windows, signal 0 would end the process.
    if not isinstance(process, int) or process <= 0 or os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # it is there, and not ours
    now = process_start(process)
    return not started or not now or now == started


def _size_and_change(path: Path) -> tuple[int, float]:
    """Return the bytes of all files below, and when the last of them changed."""
    size, changed = 0, 0.0
    for file in path.rglob("*"):
        with suppress(OSError):
            found = file.lstat()
            if not file.is_dir():
                size += found.st_size
            changed = max(changed, found.st_mtime)
    return size, changed


def find_run(text: str, base: Path = RUNS) -> RunFolder:
    """Return the run that a user named by its path, its name, or the start of its name.

    Raises
    ------
    RunFolderError
        When there is none, or several names start like that.
    """
    path = Path(text)
    if RunFolder(path).run.is_file():
        return RunFolder(path)
    children = sorted(base.iterdir()) if base.is_dir() else []
    runs = {child.name: child for child in children if _looks_like_a_run(child)}
    if text in runs:
        return RunFolder(runs[text])
    # What is there and is no run was meant, rather than a run whose name begins like that.
    matching = [name for name in runs if text and name.startswith(text) and not path.exists()]
    if len(matching) == 1:
        return RunFolder(runs[matching[0]])
    if matching:
        raise RunFolderError(
            f"{text} could be any of {len(matching)} runs: {_named(matching)}; "
            "give more of the name"
        )
    what = "is not a run folder (it has no run.json)" if path.exists() else "is no run"
    there = f"the runs there are: {_named(list(runs))}" if runs else "there are none"
    raise RunFolderError(f"{text} {what}; give a path, or a name in {base}/ ({there})")


_MOST_NAMED = 8


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def when(moment: str) -> str:
    """Return an ISO date and time to the minute, in the time zone of this machine."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return moment
