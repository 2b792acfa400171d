"""Remove runs: what they wrote, and nothing of the user's."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pegboard.errors import PegboardError, RunFolderError
from pegboard.history.entries import RunEntry, read_entry
from pegboard.runs import RunFolder


@dataclass(frozen=True)
class Removal:
    """What removing a run takes away, and what it leaves.

    Attributes
    ----------
    entry
        The run.
    files
        Written by the run.
    size_bytes
        Their size.
    kept
        Files in the folder that no run writes, such as corrections of labels.
    """

    entry: RunEntry
    files: tuple[Path, ...]
    size_bytes: int
    kept: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "run": str(self.entry.path),
            "files": len(self.files),
            "size_bytes": self.size_bytes,
            "kept": [str(path) for path in self.kept],
        }


def plan_removal(folders: Iterable[RunFolder]) -> list[Removal]:
    """Say what removing these runs would take away; nothing is touched.

    Raises
    ------
    RunFolderError
        When a folder is no run of ours, or a run is being written.
    """
    by_path = {folder.path.resolve(): folder for folder in folders}
    return [_plan(folder) for folder in by_path.values()]


def _plan(folder: RunFolder) -> Removal:
    if not folder.is_ours():
        raise RunFolderError(
            f"{folder.path} holds no run.json that pegboard wrote, so nothing in it is touched; "
            "remove the folder yourself if it is yours"
        )
    entry = read_entry(folder)
    if entry.status == "running":
        raise RunFolderError(
            f"{folder.path} is being written by a run; stop that first (Ctrl-C in its terminal)"
        )
    files = folder.written()
    others = set(folder.path.rglob("*")).difference(files)
    kept = tuple(sorted(path for path in others if path.is_symlink() or not path.is_dir()))
    return Removal(entry, tuple(files), sum(file.lstat().st_size for file in files), kept)


def remove_runs(removals: Iterable[Removal]) -> None:
    """Remove what these runs wrote, and their folders where nothing else lies in them.

    Raises
    ------
    PegboardError
        When a file cannot be removed; runs before it are gone then, and it is still a run.
    """
    for removal in removals:
        folder = removal.entry.folder
        try:
            folder.remove_contents()
            with suppress(OSError):  # what else lies in it stays, and so does the folder
                folder.path.rmdir()
        except OSError as error:
            raise PegboardError(
                f"{error.filename or folder.path} cannot be removed: {error.strerror}"
            ) from error
