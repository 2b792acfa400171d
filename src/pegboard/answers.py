"""Answers about everything a user names, as rows: to a stream, or into a file that is whole."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pegboard import __version__
from pegboard.errors import Interrupted, PegboardError
from pegboard.files import atomic_path
from pegboard.kept_answers import KeptAnswers, Stamp, beside, stamp_of
from pegboard.photo_files import STDIN, found_files
from pegboard.predict import BATCH, Predictor
from pegboard.progress import Progress
from pegboard.rows import Prediction, Tally, format_of, write_rows


@dataclass(frozen=True)
class Named:
    """What the user named: files, folders, ``-`` for one image on standard input.

    Attributes
    ----------
    arguments
        In their order.
    files_from
        A file with one path per line (``-``: on standard input), answered after ``arguments``.
    stdin
        Standard input's bytes; by default this process's.
    """

    arguments: Sequence[str]
    files_from: str | None = None
    stdin: BinaryIO | None = None

    def check(self) -> None:
        """Raise PegboardError when nothing was named, or standard input twice."""
        if not self.arguments and self.files_from is None:
            raise PegboardError("expected photos or folders to classify, or --files-from; got none")
        if [*self.arguments, self.files_from].count(STDIN) > 1:
            raise PegboardError(
                "standard input can be read only once; '-' was given more than once"
            )

    def paths(self) -> Iterator[str]:
        """Return the files one by one; a list on standard input is read as it comes.

        Raises
        ------
        PegboardError
            As :meth:`check`, and when an argument or ``files_from`` does not exist.
        """
        self.check()
        return found_files(self.arguments, self.files_from, self.source)

    @property
    def source(self) -> BinaryIO:
        """Standard input."""
        return self.stdin if self.stdin is not None else sys.stdin.buffer


def predict_files(
    predictor: Predictor,
    named: Named,
    stream: BinaryIO,
    *,
    top: int = 3,
    kind: str = "table",
    progress: Progress | None = None,
) -> Tally:
    """Answer for everything the user named, and write the rows to a stream.

    Parameters
    ----------
    predictor
        The model.
    named
        Files and folders.
    stream
        Where the rows go, such as ``sys.stdout.buffer``.
    top, kind
        See :func:`pegboard.rows.write_rows`.
    progress
        Told of every photo; photos are counted first, unless they come from standard input.

    Returns
    -------
    How many were classified and failed; ``.exit_code(strict=…)`` is the command's.

    Raises
    ------
    PegboardError
        As :meth:`Named.paths`.
    """
    rows = answers_to(predictor, named, top, progress)
    return write_rows(rows, kind, stream, top=top, sets=predictor.sets is not None)


def answers_to(
    predictor: Predictor, named: Named, top: int, progress: Progress | None = None
) -> Iterator[Prediction]:
    """Answer for everything named, one row after the other.

    Raises
    ------
    PegboardError
        As :meth:`Named.paths`; at once, not at the first row.
    """
    paths: Iterable[str] = named.paths()
    if progress is not None and named.files_from != STDIN:
        paths = list(paths)
    return _watched(predictor.predict_paths(paths, top, named.source), paths, progress)


def _watched(
    rows: Iterator[Prediction], paths: Iterable[str], progress: Progress | None
) -> Iterator[Prediction]:
    total = len(paths) if isinstance(paths, list) else None
    # A bar for a handful of photos would only flicker.
    is_shown = progress is not None and (total is None or total > BATCH)
    with progress.step("photos", total) if is_shown and progress else nullcontext() as bar:
        for row in rows:
            yield row
            if bar:
                bar.advance()


def predict_to_file(
    predictor: Predictor,
    named: Named,
    out: Path,
    *,
    model: Path,
    kind: str | None = None,
    top: int = 3,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Tally:
    """Answer for everything named, and write the rows into a file, whole or not at all.

    The rows are those of :func:`predict_files`. Until all are there, they are kept in
    ``OUT.partial``.

    Parameters
    ----------
    model
        The bundle's file: answers of another one are not gone on with.
    kind
        Format; None for the one that ``out``'s name ends in.
    resume
        Take answers from ``OUT.partial``, where there is one; photos that could not be used or
        were changed since are answered again.
    overwrite
        Replace ``out``, and what is left of an earlier command.

    Raises
    ------
    PegboardError
        As :meth:`Named.paths`; when ``out`` is there already, cannot be written, or its format is
        not known.
    Interrupted
        On Ctrl-C; what was answered is kept.
    """
    progress = progress or Progress()
    kind = format_of(out, kind)
    own = {os.path.abspath(file) for file in (out, beside(out))}  # noqa: PTH100  (takes any name)
    paths = [path for path in named.paths() if os.path.abspath(path) not in own]  # noqa: PTH100
    _check_out(out, resume=resume, overwrite=overwrite)
    with KeptAnswers(out, _origin(model, top, predictor.sets)) as kept:
        if resume:
            _tell_taken_up(kept.take_up(), kept, progress)
        try:
            _answer_missing(predictor, named, paths, kept, top, progress)
            with atomic_path(out) as temporary, temporary.open("wb") as stream:
                tally = write_rows(
                    kept.rows(paths), kind, stream, top=top, sets=predictor.sets is not None
                )
        except KeyboardInterrupt as stop:
            raise Interrupted(kept.path) from stop
        kept.remove()
    return tally


@contextmanager
def resumed_answers(
    predictor: Predictor,
    named: Named,
    folder: Path,
    *,
    model: Path,
    top: int = 1,
    progress: Progress | None = None,
) -> Iterator[tuple[KeptAnswers, Iterator[Prediction]]]:
    """Answer for everything named, and keep the answers beside a folder that is to be filled.

    Answers that an earlier command kept there are taken up: the photos are answered once, however
    often a command is stopped.

    Parameters
    ----------
    folder
        ``FOLDER.partial`` gets the answers; it stays until :meth:`KeptAnswers.remove`.
    model
        The bundle's file: answers of another one are not gone on with.

    Yields
    ------
    What is kept, and the answers in the photos' order.

    Raises
    ------
    PegboardError
        As :meth:`Named.paths`; when the answers cannot be kept, or are of another model.
    Interrupted
        On Ctrl-C; what was answered is kept.
    """
    progress = progress or Progress()
    paths = list(named.paths())
    whole = Path(os.path.abspath(folder))  # noqa: PTH100  ("." has no name)
    whole.parent.mkdir(parents=True, exist_ok=True)
    with KeptAnswers(whole, _origin(model, top), f"remove {beside(whole).name}") as kept:
        _tell_taken_up(kept.take_up(), kept, progress)
        try:
            _answer_missing(predictor, named, paths, kept, top, progress)
        except KeyboardInterrupt as stop:
            raise Interrupted(kept.path) from stop
        yield kept, kept.rows(paths)


def _origin(model: Path, top: int, sets: float | None = None) -> dict[str, Any]:
    """Return what answers depend on."""
    return {"pegboard": __version__, "model": _sha256(model), "top": top, "sets": sets}


def _check_out(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to lose a file or what is left of an earlier command."""
    partial = beside(out)
    if overwrite:
        partial.unlink(missing_ok=True)
        return
    if out.exists():
        raise PegboardError(f"--out {out} exists; give another name, or --overwrite to replace it")
    if partial.exists() and not resume:
        raise PegboardError(
            f"{partial} is left of an earlier command; go on with it by --resume, or begin again "
            "with --overwrite"
        )


def _tell_taken_up(count: int, kept: KeptAnswers, progress: Progress) -> None:
    if count:
        progress.message(f"going on: {count} answers are in {kept.path.name} already")


def _answer_missing(
    predictor: Predictor,
    named: Named,
    paths: Sequence[str],
    kept: KeptAnswers,
    top: int,
    progress: Progress,
) -> None:
    missing = [path for path in dict.fromkeys(paths) if path not in kept]
    stamps: dict[str, Stamp | None] = {}

    def stamped() -> Iterator[str]:
        for path in missing:
            stamps[path] = stamp_of(path)  # before it is read, so that no change goes unseen
            yield path

    rows = predictor.predict_paths(stamped(), top, named.source)
    for row in _watched(rows, missing, progress):
        assert row.path is not None
        kept.add(row, stamps.pop(row.path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def summary(out: Path, tally: Tally) -> dict[str, Any]:
    """Return what became of a file of answers, as plain JSON values."""
    return {"file": str(out), "classified": tally.classified, "failed": tally.failed}
