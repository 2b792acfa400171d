"""The split command: write a leak-free split, or verify a given one."""

from __future__ import annotations

import gc
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pegboard.duplicates import duplicate_groups
from pegboard.errors import PegboardError, SourceError, UnusableImage
from pegboard.files import check_folder_of
from pegboard.intake import choose_classes, take_in
from pegboard.leaks import describe_leaks, leaking_pairs
from pegboard.manifest import ManifestRow, is_manifest, write_manifest, write_rows
from pegboard.photos import Entry, Intake, LeftOut, Listing, Photo, Pixels, Source
from pegboard.prepare import open_settings_source, previous_assignments
from pegboard.progress import Progress
from pegboard.settings import DEFAULT_FRACTIONS, CompareSettings
from pegboard.sources import SourceOptions, open_source
from pegboard.sources.tables import ManifestSource
from pegboard.split import Split, split_photos
from pegboard.trees import check_new_folder, class_folders, free_path, safe_name, tree_in_place

EXIT_LEAKS = 3

_TOLD_ONCE = ("bridges-splits", "rare-class")
"""Reasons that hold for all photos of a group or class: the first speaks for them."""

_MOST_TOLD = 10

_LOOKED_FOR = 1000


def split_source(
    settings: CompareSettings,
    out: Path | None,
    to_folders: Path | None,
    *,
    progress: Progress | None = None,
) -> tuple[str, dict[str, Any]]:
    """Split a source; write the manifest and, if asked, a tree of copies.

    A table that gives sha256 and group of every row is split as it is told, without opening
    its files; if none of them is here at all, that does not matter.

    Returns
    -------
    What to print (the manifest itself when nothing is written), and the result as data.

    Raises
    ------
    PegboardError
        As ``compare``; or when ``out`` or ``to_folders`` would replace or mix with what is the
        user's.
    """
    with _undisturbed():
        return _split_source(settings, out, to_folders, progress or Progress())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold the garbage collector back.

    It would walk the millions of records of a large table again and again, and they all stay:
    a third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _split_source(
    settings: CompareSettings, out: Path | None, to_folders: Path | None, progress: Progress
) -> tuple[str, dict[str, Any]]:
    source = open_settings_source(settings)
    if out is not None:
        _check_out(out, source)
    if to_folders is not None:
        check_new_folder(to_folders, source, "--to-folders")
    previous = previous_assignments(settings, source, progress)
    intake = _intake(source, settings, progress)
    split = split_photos(
        intake,
        fractions=settings.fractions or DEFAULT_FRACTIONS,
        seed=settings.split_seed,
        previous=previous,
        allow_leaks=settings.allow_leaks,
    )
    warnings = [*intake.warnings, *split.warnings]
    _tell(warnings, split.left_out, progress)
    if to_folders is not None:
        copy_to_folders(source, split.rows, to_folders, progress=progress)
    if out is not None:
        write_manifest(out, split.rows)
    data = _summary(split, warnings, out, to_folders)
    if out is None and to_folders is None:
        buffer = io.StringIO()
        write_rows(buffer, split.rows)
        return buffer.getvalue(), data
    return _told(data), data


# --- what is split ------------------------------------------------------------------------


def _intake(source: Source, settings: CompareSettings, progress: Progress) -> Intake:
    if isinstance(source, ManifestSource):
        listing = source.told()
        if listing.entries and all(entry.sha256 and entry.group for entry in listing.entries):
            return _unopened(source, listing, settings)
    return take_in(
        source,
        merge=settings.merge,
        exclude=settings.exclude_class,
        threads=settings.threads,
        progress=progress,
    )


def _unopened(source: ManifestSource, listing: Listing, settings: CompareSettings) -> Intake:
    """Take a table at its word: it tells checksum and group of every photo."""
    entries, excluded = choose_classes(listing.entries, settings.merge, settings.exclude_class)
    left_out = [*listing.left_out, *excluded]
    warning = "the table tells sha256 and group of every photo, so none was opened"
    # Where a thousand spread over the table are not here, the photos are elsewhere.
    some = entries[:: max(1, len(entries) // _LOOKED_FOR)]
    if any(source.has(entry.path) for entry in some):
        is_here = [source.has(entry.path) for entry in entries]
    else:
        warning += " (the files are not here)"
        is_here = [True] * len(entries)
    photos = []
    for entry, here in zip(entries, is_here, strict=True):
        if here:
            photos.append(_as_told(entry, entry.sha256 or ""))
        else:
            left_out.append(LeftOut(entry.path, "missing-file", "there is no such file"))
    return Intake(photos, left_out, [warning])


def _as_told(entry: Entry, sha256: str) -> Photo:
    return Photo(
        entry.path, entry.label or "", entry.split, entry.group, sha256, sha256,
        height=0, width=0, channels=0,
    )  # fmt: skip


# --- what is said -------------------------------------------------------------------------


def _tell(warnings: Sequence[str], left_out: Sequence[LeftOut], progress: Progress) -> None:
    for warning in warnings:
        progress.message(f"note: {warning}")
    told: dict[tuple[str, str], LeftOut] = {}
    for item in left_out:
        about = item.detail if item.reason in _TOLD_ONCE else item.path
        told.setdefault((item.reason, about), item)
    for item in list(told.values())[:_MOST_TOLD]:
        progress.message(f"left out: {item.path}: {item.reason}: {item.detail}")
    if len(told) > _MOST_TOLD:
        progress.message(f"left out: and {len(told) - _MOST_TOLD} more (--json lists all)")


def _summary(
    split: Split, warnings: Sequence[str], out: Path | None, to_folders: Path | None
) -> dict[str, Any]:
    return {
        "found": len(split.rows) + len(split.left_out),
        "used": len(split.rows),
        "left_out": [
            {"path": item.path, "reason": item.reason, "detail": item.detail}
            for item in split.left_out
        ],
        "left_out_reasons": dict(Counter(item.reason for item in split.left_out)),
        "groups": len({row.group for row in split.rows}),
        "counts": split.counts(),
        "manifest": None if out is None else str(out),
        "folders": None if to_folders is None else str(to_folders),
        "warnings": list(warnings),
    }


def _told(data: Mapping[str, Any]) -> str:
    lines = [
        f"{label}: train {count['train']}, validation {count['validation']}, test {count['test']}"
        for label, count in data["counts"].items()
    ]
    lines.append(
        f"{data['used']} photos in {data['groups']} groups; {len(data['left_out'])} left out"
        + "".join(f", {count} {reason}" for reason, count in data["left_out_reasons"].items())
    )
    lines += [f"wrote {data[key]}" for key in ("manifest", "folders") if data[key]]
    return "\n".join(lines) + "\n"


# --- what is written ----------------------------------------------------------------------


def _check_out(out: Path, source: Source) -> None:
    """Refuse, before photos are read, a manifest that cannot or must not be written."""
    check_folder_of(out)
    if out.suffix.lower() in (".tsv", ".parquet", ".json", ".xlsx"):
        raise PegboardError(f"--out {out}: a manifest is a CSV file; name it {out.stem}.csv")
    if str(out.resolve()) == source.location:
        raise PegboardError(f"--out {out} is the source itself; name another file")
    if out.is_file() and not is_manifest(out):
        raise PegboardError(
            f"--out {out} exists and is no manifest of pegboard, so it is not replaced; "
            "name another file"
        )


def copy_to_folders(
    source: Source,
    rows: Sequence[ManifestRow],
    folder: Path,
    *,
    progress: Progress | None = None,
) -> None:
    """Copy photos into ``folder/SPLIT/CLASS/``; rows of arrays become PNG files.

    The tree is built under a temporary name next to ``folder`` and moved into place when it is
    whole.

    Raises
    ------
    PegboardError
        When a photo cannot be read or the folder cannot be written.
    """
    with tree_in_place(folder) as temporary:
        _write_tree(source, rows, temporary, progress or Progress())


def _write_tree(
    source: Source, rows: Sequence[ManifestRow], root: Path, progress: Progress
) -> None:
    from pegboard.images import encoded_file  # noqa: PLC0415

    folders = class_folders({row.label for row in rows})
    taken: set[Path] = set()
    with progress.step("copying photos", len(rows)) as step:
        for row in rows:
            name, data = encoded_file(row.path, _read(source, row.path))
            target = free_path(root / row.split / folders[row.label] / safe_name(name), taken)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            step.advance()


def _read(source: Source, path: str) -> bytes | Pixels:
    try:
        return source.read(path)
    except UnusableImage as error:
        raise PegboardError(f"{path} cannot be copied: {error.detail}") from error
    except OSError as error:
        raise PegboardError(f"{path} cannot be copied: {error.strerror or error}") from error


# --- verifying a given split --------------------------------------------------------------


def verify_split(
    manifest: Path, columns: Mapping[str, str], *, progress: Progress | None = None
) -> tuple[str, dict[str, Any], int]:
    """Look for photos shared between the splits of a manifest.

    Photos are opened where they are here; rows of others are compared by the sha256 and group
    that the table tells.

    Returns
    -------
    What to print, the same as data, and the exit code: 0 clean, 3 leaks.

    Raises
    ------
    SourceError
        When it is no manifest with splits, or nothing in it can be compared.
    """
    with _undisturbed():
        source = open_source(str(manifest), SourceOptions(**columns))
        if isinstance(source, ManifestSource):
            # A leak is one whatever the labels: a row that has none, or another, counts, too.
            source = source.unlabelled()
        opened, told, unknown = _verifiable(source, progress or Progress())
        photos = [*opened, *told]
        splits = [photo.split for photo in photos]
        given = set(splits) - {None}
        if len(given) < 2:
            raise SourceError(
                f"{manifest} gives {'one split' if given else 'no splits'}, so there is nothing "
                f"to verify; expected a column {columns.get('split_column', 'split')!r} with "
                "train and test"
            )
        leaks = leaking_pairs(photos, duplicate_groups(photos), splits)
    data = {
        "manifest": str(manifest),
        "photos": len(photos),
        "not_opened": len(told),
        "not_checked": unknown,
        "leaks": [
            {
                "path": photos[pair.a].path,
                "split": splits[pair.a],
                "other_path": photos[pair.b].path,
                "other_split": splits[pair.b],
                "kind": pair.kind,
                "score": pair.score,
            }
            for pair in leaks
        ],
    }
    found = f"{len(leaks)} leak{'s' if len(leaks) > 1 else ''}" if leaks else "no leaks"
    lines = [
        f"{manifest}: {len(photos)} photos, {found} between splits{_unsure(len(told), unknown)}",
        *describe_leaks(photos, leaks, splits),
    ]
    return "\n".join(lines), data, EXIT_LEAKS if leaks else 0


def _unsure(told: int, unknown: int) -> str:
    parts = []
    if told:
        parts.append(f"{told} are not here and were compared by sha256 and group only")
    if unknown:
        parts.append(f"{unknown} more could not be checked")
    return f" ({'; '.join(parts)})" if parts else ""


def _verifiable(source: Source, progress: Progress) -> tuple[list[Photo], list[Photo], int]:
    """Return photos that can be opened, others that the table tells of, and how many are left."""
    entries = source.told().entries if isinstance(source, ManifestSource) else ()
    opened: list[Photo] = []
    if not isinstance(source, ManifestSource) or any(source.has(e.path) for e in entries):
        with suppress(SourceError):
            opened = list(take_in(source, progress=progress).photos)
    seen = {(photo.path, photo.split) for photo in opened}
    absent = [entry for entry in entries if (entry.path, entry.split) not in seen]
    told = [
        # A row without checksum equals no other, but may share a group.
        _as_told(entry, entry.sha256 or f"row {number}")
        for number, entry in enumerate(absent)
        if entry.sha256 or entry.group
    ]
    if not opened and not told:
        raise SourceError(
            f"none of the photos of {source.location} can be opened, and it gives no sha256 or "
            "group for them; run this where the photos are"
        )
    return opened, told, len(absent) - len(told)
