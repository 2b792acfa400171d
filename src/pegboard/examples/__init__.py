"""Photos of tools to try everything on, drawn by this package and free to use and to publish.

Eight kinds of tools in several makes each, in random poses on random backgrounds, in good and
bad light. They are no photos of real tools: figures reached on them say how the steps work,
not how well a model will do on yours.
"""

from __future__ import annotations

import csv
import io
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from pegboard.errors import PegboardError
from pegboard.examples.folders import ExampleFile, count_photos, tidy_files, untidy_files
from pegboard.examples.tools import TOOLS
from pegboard.files import write_text_atomically
from pegboard.progress import Progress

__all__ = ["CLASSES", "write_tool_photos"]

CLASSES = tuple(TOOLS)
"""The classes, in alphabetical order."""

MOST_PER_CLASS = 600
"""Names are numbered by the thousand, and an uneven class has up to 1.4 times as many photos."""

LEAST_SIZE = 64


def write_tool_photos(
    folder: str | Path,
    *,
    per_class: int = 40,
    seed: int = 0,
    untidy: bool = True,
    size: int = 240,
    truth: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw photos of eight kinds of tools into class folders.

    The same arguments give the same pixels; with one version of Pillow the same bytes.

    Parameters
    ----------
    folder
        A folder that is new or empty; it appears when all of it is written.
    per_class
        Photos of each tool. An untidy folder has more of some and fewer of others, this many
        on average, and copies besides.
    seed
        Everything that chance decides.
    untidy
        Add what folders really hold: exact copies, second shots of one scene, wrong labels,
        one photo under two labels, photos that only EXIF turns upright, PNG files and some
        that are called ``.jpg``, two spellings of one class, a class with two photos, a
        truncated and an empty file, files that are no photos, a hidden one.
    size
        Longer side in pixels.
    truth
        A CSV file to write, outside ``folder``: ``path, label, label_true, what, other_path``
        of every file. It is not written otherwise.
    progress
        Where progress is told.

    Returns
    -------
    The folder.

    Raises
    ------
    PegboardError
        When the folder holds anything, cannot be written, ``truth`` lies in it, or a number is
        out of range.
    """
    folder = Path(folder)
    _check(folder, per_class, seed, size, None if truth is None else Path(truth))
    files = (untidy_files if untidy else tidy_files)(per_class, seed, size)
    total = sum(count_photos(per_class, untidy=untidy).values())
    temporary = folder.absolute().with_name(f".pegboard-{secrets.token_hex(8)}")
    try:
        rows = _write_all(files, temporary, total, progress or Progress())
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise PegboardError(f"cannot write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if truth is not None:
        write_text_atomically(truth, _table(rows))
    return folder


def _check(folder: Path, per_class: int, seed: int, size: int, truth: Path | None) -> None:
    if not 1 <= per_class <= MOST_PER_CLASS:
        raise PegboardError(
            f"photos per class must be between 1 and {MOST_PER_CLASS}, got {per_class}"
        )
    if seed < 0:
        raise PegboardError(f"the seed must be 0 or more, got {seed}")
    if size < LEAST_SIZE:
        raise PegboardError(f"photos must be at least {LEAST_SIZE} px, got {size}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PegboardError(
            f"{folder} exists and is not an empty folder, so nothing in it is touched; "
            "name a new one"
        )
    if not folder.absolute().parent.is_dir():
        raise PegboardError(f"cannot write {folder}: the folder above it does not exist")
    if truth is not None and truth.absolute().is_relative_to(folder.absolute()):
        raise PegboardError(
            f"{truth} would lie among the photos, where it counts as one of the files to take "
            "in; name a file outside"
        )


def _write_all(
    files: Iterable[ExampleFile], folder: Path, total: int, progress: Progress
) -> list[tuple[str, str, str, str, str]]:
    rows = []
    with progress.step("drawing photos", total) as step:
        for file in files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            label = file.path.rpartition("/")[0]
            rows.append((file.path, label, file.tool, file.what, file.other_path))
            step.advance()
    return rows


def _table(rows: Iterable[tuple[str, str, str, str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "label", "label_true", "what", "other_path"))
    writer.writerows(sorted(rows))
    return text.getvalue()
