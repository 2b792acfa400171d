"""Photos into class folders, as a model names them: planned first, and only then done.

``DIR/CLASS/`` gets the photos the model is sure of; ``DIR/_unsure/CLASS/`` and ``DIR/_unknown/``
the others. Photos are copied, or linked; originals stay as they are. Nothing that exists is
replaced: a photo whose name is taken by another one gets a number behind it, and a name that DIR
holds already ends the command before anything is written. A command that was stopped is gone on
with: a photo that lies in its place already, byte for byte, is not written again.
"""

from __future__ import annotations

import csv
import errno
import filecmp
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pegboard.errors import Interrupted, PegboardError
from pegboard.files import atomic_path
from pegboard.photo_files import STDIN
from pegboard.progress import Progress
from pegboard.rows import Prediction
from pegboard.trees import free_path, portable_folders

How = Literal["copy", "link"]
Unsure = Literal["apart", "leave", "sort"]

UNSURE_FOLDER, UNKNOWN_FOLDER = "_unsure", "_unknown"
LOG = "pegboard-sorted.csv"

THERE = "there"

_NAMED = 3
_TEMPORARY = ".pegboard-"


@dataclass(frozen=True, slots=True)
class Line:
    """What becomes of one photo; a row of the log.

    Attributes
    ----------
    path
        In the folder, with ``/``; empty for a photo that is left where it is.
    source_path
        As the user named it.
    done
        ``to do``, ``copied``, ``linked``, ``there`` (an earlier command did it) or ``left``.
    reason
        Why it is not sure, or why it is left.
    """

    path: str
    source_path: str
    done: str
    label: str
    probability: float | None
    decision: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Where photos go: made by :func:`plan_sorting`, and nothing is written yet."""

    folder: Path
    lines: Sequence[Line]

    @property
    def to_do(self) -> list[Line]:
        """Photos that get a place in the folder."""
        return [line for line in self.lines if line.path]

    def to_json(self) -> dict[str, Any]:
        """Return what is planned, as plain JSON values."""
        done = Counter(line.done for line in self.lines)
        return {
            "folder": str(self.folder),
            "folders": dict(sorted(Counter(_parent(line) for line in self.to_do).items())),
            "renamed": sum(_is_renamed(line) for line in self.to_do),
            "left": done["left"],
            "done": {key: done[key] for key in ("copied", "linked", "there") if done[key]},
            "bytes": sum(_size(line.source_path) for line in self.to_do if line.done != THERE),
        }

    def text(self) -> str:
        """Say it in lines: how many photos go into which folder, and the first of each."""
        data = self.to_json()
        first: dict[str, list[str]] = {}
        for line in self.to_do:
            first.setdefault(_parent(line), []).append(Path(line.path).name)
        lines = [
            f"{self.folder / name}: {count} ({', '.join(first[name][:_NAMED])}"
            + (", …)" if count > _NAMED else ")")
            for name, count in data["folders"].items()
        ]
        lines.append(
            f"{len(self.to_do)} photos, {data['bytes'] / 1e6:,.1f} MB; {data['renamed']} get "
            f"another name, as theirs is taken; {data['left']} stay where they are"
            + (f"; {data['done'][THERE]} lay there already" if THERE in data["done"] else "")
        )
        return "\n".join(lines)


def _parent(line: Line) -> str:
    return line.path.rpartition("/")[0]


def _is_renamed(line: Line) -> bool:
    return Path(line.path).name != Path(line.source_path).name


def _size(path: str) -> int:
    with suppress(OSError):
        return Path(path).stat().st_size
    return 0


# --- planning ----------------------------------------------------------------------------


def check_folder(folder: Path, arguments: Iterable[str]) -> None:
    """Refuse, before photos are read, a folder that photos cannot be sorted into.

    Raises
    ------
    PegboardError
        When it is a file, or lies in one of the folders whose photos are sorted; also for a
        photo on standard input, which has no name.
    """
    if folder.exists() and not folder.is_dir():
        raise PegboardError(f"--sort-into {folder} is a file; name a folder")
    for argument in arguments:
        if argument == STDIN:
            raise PegboardError(
                "--sort-into: a photo on standard input has no name to be sorted by; name files"
            )
        if Path(argument).is_dir() and folder.resolve().is_relative_to(Path(argument).resolve()):
            raise PegboardError(
                f"--sort-into {folder} lies in {argument}, whose photos are sorted, so they would "
                "be met again; name a folder elsewhere"
            )


def _met_again(path: str, folder: Path) -> PegboardError:
    return PegboardError(
        f"{path} lies in the folder that photos are sorted into ({folder}), so it would be met "
        "again and again; name a folder elsewhere, or other photos"
    )


def plan_sorting(
    rows: Iterable[Prediction], folder: Path, classes: Sequence[str], unsure: Unsure = "apart"
) -> Plan:
    """Decide where every photo goes.

    Parameters
    ----------
    rows
        Answers to photos that are files; two of the same file count once.
    classes
        The model's.
    unsure
        ``apart``: photos that the model is not sure of go into folders of their own; ``leave``:
        nowhere; ``sort``: unsure ones to the likeliest class, unknown ones apart.

    Raises
    ------
    PegboardError
        When a photo lies in the folder already.
    """
    folders = portable_folders(classes, (UNSURE_FOLDER, UNKNOWN_FOLDER, LOG))
    taken: set[Path] = set()
    seen: set[str] = set()
    lines = []
    below = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118
    parent = lru_cache(os.path.realpath)
    for row in rows:
        assert row.path is not None
        whole = os.path.abspath(row.path)  # noqa: PTH100  (takes any name)
        if os.path.join(parent(os.path.dirname(whole)), "").startswith(below):  # noqa: PTH118, PTH120
            raise _met_again(row.path, folder)
        is_again = whole in seen
        seen.add(whole)
        lines.append(
            _left(row, "named twice") if is_again else _planned(row, folders, unsure, taken)
        )
    return Plan(folder, lines)


def _planned(row: Prediction, folders: dict[str, str], unsure: Unsure, taken: set[Path]) -> Line:
    assert row.path is not None
    parts = _place(row, folders, unsure)
    if parts is None:
        return _left(row, row.error or row.reason or "")
    path = free_path(Path(*parts, Path(row.path).name), taken).as_posix()
    return replace(_left(row, row.reason or ""), path=path, done="to do")


def _place(row: Prediction, folders: dict[str, str], unsure: Unsure) -> tuple[str, ...] | None:
    """Return the folder of a photo, or None for one that stays where it is."""
    if row.label is None:
        return None
    if row.decision == "sure":
        return (folders[row.label],)
    if unsure == "leave":
        return None
    if row.decision == "unknown":
        return (UNKNOWN_FOLDER,)
    return (folders[row.label],) if unsure == "sort" else (UNSURE_FOLDER, folders[row.label])


def _left(row: Prediction, reason: str) -> Line:
    return Line(
        "", row.path or "", "left", row.label or "", row.probability, row.decision or "", reason
    )


def resumed(plan: Plan) -> Plan:
    """Return what is left of a plan of which an earlier command may have done a part.

    A photo is there when the file in its place has the same bytes: of a log that a power cut
    took nothing is needed.
    """
    return replace(plan, lines=[_resumed(line, plan.folder) for line in plan.lines])


def _resumed(line: Line, folder: Path) -> Line:
    if not line.path:
        return line
    with suppress(OSError):
        if filecmp.cmp(line.source_path, folder / line.path, shallow=False):
            return replace(line, done=THERE)
    return line


def check_free(plan: Plan) -> None:
    """Refuse a plan that meets something that exists.

    Raises
    ------
    PegboardError
        With the first names.
    """
    there = [
        line.path
        for line in plan.to_do
        if line.done != THERE and os.path.lexists(plan.folder / line.path)
    ]
    if there:
        more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
        raise PegboardError(
            f"--sort-into {plan.folder}: {', '.join(there[:_NAMED])}{more} exist already and are "
            "not replaced, so nothing was written; name another folder"
        )


# --- doing -------------------------------------------------------------------------------


def carry_out(plan: Plan, how: How = "copy", progress: Progress | None = None) -> tuple[Plan, Path]:
    """Write the photos into the folder, and a log of what went where.

    Parameters
    ----------
    how
        ``link`` makes hard links, which take no room and are the same file under another name;
        where that cannot be done (another disk), photos are copied.

    Returns
    -------
    What was done, and the log.

    Raises
    ------
    PegboardError
        As :func:`check_free`; when a photo cannot be read or written. The log tells what was done
        up to there.
    Interrupted
        On Ctrl-C, likewise.
    """
    check_free(plan)
    log = _free_log(plan.folder)
    done: list[Line] = []
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        with (progress or Progress()).step("sorting photos", len(plan.lines)) as step:
            for line in plan.lines:
                done.append(_placed(line, plan.folder, how))
                step.advance()
    except KeyboardInterrupt as stop:
        raise Interrupted(plan.folder) from stop
    except OSError as error:
        raise PegboardError(
            f"--sort-into {plan.folder}: {error.filename or ''}: {error.strerror}; "
            f"{len(done)} of {len(plan.lines)} photos are done, see {log.name}"
        ) from error
    finally:
        if plan.folder.is_dir():
            write_log(log, done)
    return replace(plan, lines=done), log


def _placed(line: Line, folder: Path, how: How) -> Line:
    """Write one photo, if it gets a place and is not there."""
    if not line.path or line.done == THERE:
        return line
    target = folder / line.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "link" and _linked(line.source_path, target):
        return replace(line, done="linked")
    _copy(line.source_path, target)
    return replace(line, done="copied")


def _linked(source: str, target: Path) -> bool:
    """Make a hard link to the photo itself; False where that cannot be done."""
    try:
        os.link(Path(source).resolve(strict=True), target)
    except FileExistsError:
        raise
    except OSError:  # another disk, or one without hard links
        return False
    return True


def _copy(source: str, target: Path) -> None:
    """Copy a photo with its times: whole or not at all, and never over another file."""
    temporary = target.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        shutil.copy2(source, temporary)
        _place_new(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _place_new(temporary: Path, target: Path) -> None:
    """Give a file its name unless it is taken; a plain rename replaces on some systems."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links, such as a memory stick
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "File exists", str(target)) from None
        temporary.rename(target)


def _free_log(folder: Path) -> Path:
    """Return where the log goes; earlier logs stay."""
    log, number = folder / LOG, 2
    while os.path.lexists(log):
        log, number = folder / f"{Path(LOG).stem}-{number}{Path(LOG).suffix}", number + 1
    return log


def write_log(path: Path, lines: Iterable[Line]) -> None:
    """Write the log, whole or not at all."""
    columns = list(Line.__dataclass_fields__)
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        # Every cell in quotes: the csv module leaves a lone carriage return without.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        for line in lines:
            writer.writerow([getattr(line, name) for name in columns])
