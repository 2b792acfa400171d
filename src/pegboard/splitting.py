"""The split command: write a leak-free split, or verify a given one."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pegboard.duplicates import duplicate_groups
from pegboard.errors import PegboardError, RunFolderError, SourceError
from pegboard.intake import take_in
from pegboard.manifest import ManifestRow, write_manifest, write_rows
from pegboard.photos import Intake, LeftOut, Listing, Photo, Source
from pegboard.prepare import open_settings_source, previous_assignments
from pegboard.progress import Progress
from pegboard.settings import DEFAULT_FRACTIONS, CompareSettings
from pegboard.sources import SourceOptions, open_source
from pegboard.split import Split, describe_leak, leaking_pairs, split_photos

EXIT_LEAKS = 3


def split_source(
    settings: CompareSettings,
    out: Path | None,
    to_folders: Path | None,
    *,
    progress: Progress | None = None,
) -> tuple[str, dict[str, Any]]:
    """Split a source; write the manifest and, if asked, a tree of copies.

    A table that gives sha256 and group of every row is split without opening its files.

    Returns
    -------
    What to print (the manifest itself when ``out`` is None), and the same as data.

    Raises
    ------
    PegboardError
        As ``compare``; or when ``to_folders`` is not empty.
    """
    progress = progress or Progress()
    source = open_settings_source(settings)
    if to_folders is not None:
        _check_empty(to_folders)
    split = split_photos(
        _intake(source, settings, progress),
        fractions=settings.fractions or DEFAULT_FRACTIONS,
        seed=settings.split_seed,
        previous=previous_assignments(settings, source),
        allow_leaks=settings.allow_leaks,
    )
    for warning in split.warnings:
        progress.message(f"note: {warning}")
    if out is not None:
        write_manifest(out, split.rows)
    if to_folders is not None:
        copy_to_folders(source, split.rows, to_folders)
    data = _summary(split, out, to_folders)
    if out is None and to_folders is None:
        buffer = io.StringIO()
        write_rows(buffer, split.rows)
        return buffer.getvalue(), data
    return _told(data), data


def _intake(source: Source, settings: CompareSettings, progress: Progress) -> Intake:
    listing = source.listing()
    if not settings.merge and not settings.exclude_class and _is_known(listing):
        return _unopened(listing)
    return take_in(
        source,
        merge=settings.merge,
        exclude=settings.exclude_class,
        threads=settings.threads,
        progress=progress,
    )


def _is_known(listing: Listing) -> bool:
    """Whether a table tells checksum and group of every row, so that no file need be opened."""
    return bool(listing.entries) and all(entry.sha256 and entry.group for entry in listing.entries)


def _unopened(listing: Listing) -> Intake:
    photos, left_out = [], list(listing.left_out)
    for entry in listing.entries:
        if entry.label is None:
            left_out.append(LeftOut(entry.path, "no-label", "the row has no label"))
            continue
        checksum = entry.sha256 or ""
        photos.append(
            Photo(entry.path, entry.label, entry.split, entry.group, checksum, checksum, 0, 0, 0)
        )
    return Intake(photos, left_out)


def _summary(split: Split, out: Path | None, to_folders: Path | None) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for item in split.left_out:
        reasons[item.reason] = reasons.get(item.reason, 0) + 1
    return {
        "used": len(split.rows),
        "left_out": len(split.left_out),
        "left_out_reasons": reasons,
        "groups": len({row.group for row in split.rows}),
        "counts": split.counts(),
        "manifest": None if out is None else str(out),
        "folders": None if to_folders is None else str(to_folders),
        "warnings": list(split.warnings),
    }


def _told(data: Mapping[str, Any]) -> str:
    lines = [
        f"{label}: train {count['train']}, validation {count['validation']}, test {count['test']}"
        for label, count in data["counts"].items()
    ]
    lines.append(
        f"{data['used']} photos in {data['groups']} groups; {data['left_out']} left out"
        + "".join(f", {count} {reason}" for reason, count in data["left_out_reasons"].items())
    )
    lines += [f"wrote {data[key]}" for key in ("manifest", "folders") if data[key]]
    return "\n".join(lines) + "\n"


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunFolderError(
            f"--to-folders {folder} is not an empty folder; name one that is new or empty"
        )


def copy_to_folders(source: Source, rows: Sequence[ManifestRow], folder: Path) -> None:
    """Copy photos into ``folder/SPLIT/CLASS/``; rows of arrays become PNG files.

    The tree is built under a temporary name and renamed, so one that exists is whole.
    """
    from pegboard.images import encoded_file  # noqa: PLC0415

    temporary = folder.with_name(f".{folder.name}.pegboard-tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        taken: set[Path] = set()
        for row in rows:
            name, data = encoded_file(row.path, source.read(row.path))
            target = _free(temporary / row.split / _safe(row.label) / _safe(name), taken)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise PegboardError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _safe(name: str) -> str:
    """Return a name that stays inside its folder."""
    return name.replace("/", "_").replace("\\", "_").lstrip(".") or "_"


def _free(path: Path, taken: set[Path]) -> Path:
    candidate, number = path, 2
    while candidate in taken:
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    taken.add(candidate)
    return candidate


def verify_split(
    manifest: Path, columns: Mapping[str, str], *, progress: Progress | None = None
) -> tuple[str, dict[str, Any], int]:
    """Look for photos shared between the splits of a manifest.

    Returns
    -------
    What to print, the same as data, and the exit code: 0 clean, 3 leaks.

    Raises
    ------
    SourceError
        When it is no manifest with splits.
    """
    source = open_source(str(manifest), SourceOptions(**columns))
    photos = _verifiable(source, progress or Progress())
    splits = sorted({photo.split for photo in photos if photo.split})
    if len(splits) < 2:
        raise SourceError(
            f"{manifest} gives {'one split' if splits else 'no splits'}, so there is nothing to "
            f"verify; expected a column {columns.get('split_column', 'split')!r} with train and "
            "test"
        )
    groups = duplicate_groups(photos)
    leaks = leaking_pairs(photos, groups)
    data = {
        "manifest": str(manifest),
        "photos": len(photos),
        "leaks": [
            {
                "path": photos[pair.a].path,
                "split": photos[pair.a].split,
                "other_path": photos[pair.b].path,
                "other_split": photos[pair.b].split,
                "kind": pair.kind,
                "score": pair.score,
            }
            for pair in leaks
        ],
    }
    if not leaks:
        return f"{manifest}: {len(photos)} photos, no leaks between splits", data, 0
    told = [describe_leak(photos, pair) for pair in leaks]
    head = f"{manifest}: {len(leaks)} leak{'s' if len(leaks) > 1 else ''} between splits"
    return "\n".join([head, *told]), data, EXIT_LEAKS


def _verifiable(source: Source, progress: Progress) -> list[Photo]:
    """Return photos that can be opened, and rows that at least give a checksum."""
    listing = source.listing()
    known = _unopened(listing).photos if _is_known(listing) else ()
    try:
        opened = list(take_in(source, progress=progress).photos)
    except SourceError:
        opened = []
    seen = {photo.path for photo in opened}
    photos = [*opened, *(photo for photo in known if photo.path not in seen)]
    if not photos:
        raise SourceError(
            f"none of the photos of {source.location} can be opened, and it gives no sha256 and "
            "group for them; run this where the photos are"
        )
    return photos
