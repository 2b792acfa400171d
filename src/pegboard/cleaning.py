"""The apply command: a cleaned copy of a source as class folders; the source stays as it is."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pegboard.corrections import apply_corrections, read_corrections
from pegboard.errors import PegboardError, UnusableImage
from pegboard.files import write_text_atomically
from pegboard.images import encoded_file
from pegboard.intake import payload_sha256, take_in
from pegboard.photos import Intake, LeftOut, Photo, Source
from pegboard.prepare import refuse_run_folder
from pegboard.progress import Progress
from pegboard.sources import SourceOptions, open_source
from pegboard.sources.base import unshown
from pegboard.sources.folders import FolderSource
from pegboard.trees import check_new_folder, class_folders, free_path, safe_name, tree_in_place

RECORD = "pegboard-apply.csv"
"""In the new folder: what was done with every file of the source."""

How = Literal["copy", "link"]


@dataclass(frozen=True)
class Line:
    """What was done with one file of the source.

    Attributes
    ----------
    path
        Where it is now, below the new folder; "" where it was left out.
    source_path
        Where it is in the source.
    done
        ``copied``, ``linked`` or ``left-out``.
    label_before, label_after
        Its class in the source and in the new folder.
    sha256
        Of the photo in the source.
    reason
        Why it was left out.
    """

    path: str
    source_path: str
    done: str
    label_before: str
    label_after: str
    sha256: str
    reason: str


@dataclass(frozen=True)
class Applied:
    """What became of a source.

    ``relabelled`` and ``dropped`` are what the corrections did; ``left_out`` counts the files
    that were left out anyway, by reason.
    """

    folder: Path
    dry_run: bool
    photos: int
    relabelled: int
    dropped: int
    left_out: Mapping[str, int]
    done: Mapping[str, int]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"folder": str(self.folder)}

    def lines(self) -> list[str]:
        """Return what to print."""
        verb = "would get" if self.dry_run else "has"
        told = [f"note: {warning}" for warning in self.warnings]
        told.append(
            f"{self.folder} {verb} {self.photos} photos: {self.relabelled} under another class, "
            f"{self.dropped} dropped"
        )
        if self.left_out:
            counts = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            told.append(f"left out as always: {counts}")
        if not self.dry_run:
            how = ", ".join(f"{count} {done}" for done, count in self.done.items())
            told.append(f"{how or 'nothing written'}; all is listed in {self.folder / RECORD}")
        return told


def apply_to_folder(
    source: str,
    *,
    corrections: Path,
    folder: Path,
    how: How = "copy",
    dry_run: bool = False,
    merge: Mapping[str, str] | None = None,
    exclude_class: Collection[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
    **columns: str,
) -> Applied:
    """Write the photos of a source as corrected: ``folder/CLASS/`` or ``folder/SPLIT/CLASS/``.

    The tree is built under a temporary name and moved into place when it is whole.

    Parameters
    ----------
    source
        As for ``compare``.
    corrections, folder
        The decisions; a folder that is new or empty and not inside the source.
    how
        ``link`` makes hard links where the source is a folder on the same disk, else copies.
    merge, exclude_class, columns
        As for ``compare``.

    Raises
    ------
    PegboardError
        When something must be changed by the user first; then nothing was written.
    """
    progress = progress or Progress()
    refuse_run_folder(source)
    opened = open_source(source, SourceOptions(**columns))
    check_new_folder(folder, opened, "--to")
    decisions = read_corrections(corrections, progress.message)
    before = take_in(opened, merge=merge, exclude=exclude_class, threads=threads, progress=progress)
    after = apply_corrections(before, decisions, merge=merge, exclude=exclude_class)
    labels = {photo.path: photo.label for photo in before.photos}
    lines = _plan(after, labels)
    if not dry_run:
        with tree_in_place(folder) as temporary:
            lines = _write(opened, lines, temporary, how, progress)
            write_text_atomically(temporary / RECORD, _table(lines))
    return _applied(folder, dry_run, before, after, lines, labels)


# --- what goes where ----------------------------------------------------------------------


def _plan(intake: Intake, labels: Mapping[str, str]) -> list[Line]:
    """Return what to do with every file of the source."""
    folders = class_folders({photo.label for photo in intake.photos})
    taken: set[Path] = set()
    # Photos that stay in their class come first and keep their names.
    stays = sorted(intake.photos, key=lambda photo: photo.label != labels[photo.path])
    kept = {photo.path: _kept(photo, folders[photo.label], labels, taken) for photo in stays}
    left_out = [_left_out(item, labels) for item in intake.left_out]
    return [*(kept[photo.path] for photo in intake.photos), *left_out]


def _kept(photo: Photo, folder: str, labels: Mapping[str, str], taken: set[Path]) -> Line:
    parts = [safe_name(part) for part in _inside(photo.path, labels[photo.path])]
    path = free_path(Path(photo.split or "", folder, *parts), taken).as_posix()
    return Line(path, photo.path, "to do", labels[photo.path], photo.label, photo.sha256, "")


def _inside(path: str, label: str) -> Sequence[str]:
    """Return the folders and the name below a photo's class folder; other paths' name alone."""
    parts = path.split("/")
    for at in (0, 1):
        if len(parts) > at + 1 and parts[at] == label and "!" not in path and "#" not in path:
            return parts[at + 1 :]
    return parts[-1:]


def _left_out(item: LeftOut, labels: Mapping[str, str]) -> Line:
    label = labels.get(item.path, "")
    return Line("", item.path, "left-out", label, "", "", f"{item.reason}: {item.detail}")


# --- writing ------------------------------------------------------------------------------


def _write(
    source: Source, lines: Sequence[Line], root: Path, how: How, progress: Progress
) -> list[Line]:
    link = _linker(source) if how == "link" else None
    done: list[Line] = []
    made: set[Path] = set()
    with progress.step("writing photos", len(lines)) as step:
        for line in lines:
            if line.path:
                (root / line.path).parent.mkdir(parents=True, exist_ok=True)
            if line.path and link is not None and link(line.source_path, root / line.path):
                done.append(replace(line, done="linked"))
            else:
                done.append(_copied(source, line, root, made) if line.path else line)
            step.advance()
    return done


def _copied(source: Source, line: Line, root: Path, made: set[Path]) -> Line:
    """Copy one photo; a row of an array becomes a PNG file, ``made`` are those so far."""
    try:
        payload = source.read(line.source_path)
    except (OSError, UnusableImage) as error:
        raise PegboardError(f"{line.source_path} cannot be read any more ({error})") from error
    if payload_sha256(payload) != line.sha256:
        raise PegboardError(f"{line.source_path} was changed in the meantime; apply again")
    name, data = encoded_file(line.source_path, payload)
    target = root / line.path
    if not isinstance(payload, bytes):
        target = free_path(target.with_name(safe_name(name)), made)
    target.write_bytes(data)
    return replace(line, done="copied", path=target.relative_to(root).as_posix())


def _linker(source: Source) -> Callable[[str, Path], bool] | None:
    """Return what makes hard links, or None where photos are no files of their own."""
    if not isinstance(source, FolderSource):
        return None
    base = Path(source.location)

    def link(path: str, target: Path) -> bool:
        file = base / path
        if not file.exists():
            file = base / unshown(path)
        try:
            # To the photo itself: a link to a link would point out of the new folder.
            os.link(file.resolve(strict=True), target)
        except OSError:  # another disk, or one without hard links
            return False
        return True

    return link


def _table(lines: Sequence[Line]) -> str:
    buffer = io.StringIO()
    columns = list(Line.__dataclass_fields__)
    plain = csv.writer(buffer, lineterminator="\n")
    # The csv module writes a lone carriage return unquoted, and then cannot read it back.
    quoted = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(columns)
    for line in lines:
        cells = [str(getattr(line, name)) for name in columns]
        (quoted if any("\r" in cell for cell in cells) else plain).writerow(cells)
    return buffer.getvalue()


def _applied(
    folder: Path,
    dry_run: bool,
    before: Intake,
    after: Intake,
    lines: Sequence[Line],
    labels: Mapping[str, str],
) -> Applied:
    left_out = Counter(item.reason for item in before.left_out)
    undecided = _undecided(after.photos)
    warnings = [*after.warnings]
    if undecided:
        warnings.append(
            f"{undecided} photos lie under two labels and were kept as they are; decide which is "
            "right with `pegboard review`"
        )
    return Applied(
        folder=folder,
        dry_run=dry_run,
        photos=len(after.photos),
        relabelled=sum(photo.label != labels[photo.path] for photo in after.photos),
        dropped=len(after.left_out) - len(before.left_out),
        left_out=dict(left_out.most_common()),
        done=dict(Counter(line.done for line in lines if line.path).most_common()),
        warnings=tuple(warnings),
    )


def _undecided(photos: Sequence[Photo]) -> int:
    """Return how many photos are equal to one of another class."""
    classes: dict[str, set[str]] = {}
    for photo in photos:
        classes.setdefault(photo.pixels, set()).add(photo.label)
    return sum(len(classes[photo.pixels]) > 1 for photo in photos)
