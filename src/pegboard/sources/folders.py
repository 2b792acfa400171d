"""A tree of class folders, with or without train/, test/ and val/ above them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pegboard.photos import Entry, LeftOut, Listing
from pegboard.reading import read_file
from pegboard.sources.base import is_hidden, short_name, shown, unshown
from pegboard.sources.layout import tree_layout

OWN_FOLDERS = frozenset(("pegboard-runs", "pegboard-demo", "pegboard-check"))
"""Folder names that pegboard gives its outputs."""
_FINDINGS_START = b"path,code,severity"
_CORRECTIONS_START = b"time,reviewer,action"
_APPLIED_START = b"path,source_path,done"


class FolderSource:
    """Photos in class folders below ``root``.

    Every file below ``root`` is listed, hidden ones too. A link to a folder is followed
    unless that folder was listed already, so loops end.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root.resolve())
        self.name = short_name(Path(self.location).name)

    def listing(self) -> Listing:
        """List all files, sorted by path."""
        left_out: list[LeftOut] = []
        files: list[str] = []
        for path, problem in sorted(_walk(self.root)):
            parts = path.split("/")
            if is_hidden(parts):
                left_out.append(LeftOut(shown(path), "hidden", "hidden file or folder"))
            elif problem == _OWN:
                left_out.append(LeftOut(shown(path), "pegboard-output", "written by pegboard"))
            elif problem:
                left_out.append(LeftOut(shown(path), "unreadable", problem))
            else:
                files.append(path)
        return Listing(self._entries(files), left_out)

    def _entries(self, files: list[str]) -> list[Entry]:
        parts = [path.split("/") for path in files]
        layout = tree_layout(parts, see_through=False, where=str(self.root))
        entries = []
        for path, components in zip(files, parts, strict=True):
            label, split = layout.place(components)
            entries.append(Entry(shown(path), label and shown(label), split))
        return entries

    def read(self, path: str) -> bytes:
        """Return one file's bytes; OSError or UnusableImage when it cannot be read."""
        file = self.root / path
        if "\\x" in path and not file.exists():
            file = self.root / unshown(path)
        return read_file(file)


_OWN = "pegboard-output"


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    """Yield every file below ``root`` as (relative path, problem or "")."""
    seen: set[tuple[int, int]] = set()
    # Real folders first, links after: a link never takes files away from their own folder.
    links: list[tuple[str, bool]] = []
    yield from _walk_real(root, [("", False)], seen, links)
    while links:
        yield from _walk_real(root, [links.pop(0)], seen, links)


def _walk_real(
    root: Path,
    pending: list[tuple[str, bool]],
    seen: set[tuple[int, int]],
    links: list[tuple[str, bool]],
) -> Iterator[tuple[str, str]]:
    while pending:
        folder, own = pending.pop()
        try:
            # A link is only given a turn now, so its target may have been listed since.
            status = (root / folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            children = sorted(os.scandir(root / folder), key=lambda child: child.name)
        except OSError as error:
            yield folder + "/", f"the folder cannot be opened ({error.strerror})"
            continue
        own = own or (bool(folder) and _is_own_folder(root / folder))
        for child in children:
            path = f"{folder}/{child.name}" if folder else child.name
            if not _is_folder(child):
                yield path, _OWN if own or _is_own_file(Path(child.path)) else _problem(child)
            elif child.is_symlink():
                links.append((path, own))
            else:
                pending.append((path, own))


def _is_folder(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_dir()
    except OSError:  # a link to itself
        return False


def _problem(child: os.DirEntry[str]) -> str:
    try:
        if child.is_file():
            return ""
    except OSError as error:
        return error.strerror or "cannot be opened"
    return "a link to nothing" if child.is_symlink() else "not a regular file"


def _is_own_folder(folder: Path) -> bool:
    """Whether pegboard wrote this folder: a run, or the findings of a check."""
    if folder.name in OWN_FOLDERS:
        return True
    try:
        run = json.loads((folder / "run.json").read_bytes())
        return isinstance(run, dict) and "pegboard" in run
    except (OSError, ValueError, RecursionError):
        return _starts(folder / "findings.csv", _FINDINGS_START)


def _is_own_file(file: Path) -> bool:
    if file.suffix == ".pegboard":
        return True
    if file.name == "findings.csv":
        return _starts(file, _FINDINGS_START)
    if file.name == "pegboard-apply.csv":
        return _starts(file, _APPLIED_START)
    return file.name == "corrections.csv" and _starts(file, _CORRECTIONS_START)


def _starts(file: Path, start: bytes) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(start)) == start
    except OSError:
        return False
