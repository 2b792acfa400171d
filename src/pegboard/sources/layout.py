"""Which folder names the class: one rule for folders and archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pegboard.errors import SourceError
from pegboard.photos import SplitName
from pegboard.sources.base import class_label, split_name

Parts = Sequence[str]
"""A path's components, file name last."""


@dataclass(frozen=True)
class Layout:
    """How a tree of photos is laid out.

    Attributes
    ----------
    depth
        How many leading folders hold the classes but name none (an archive's wrapper).
    has_splits
        Whether the folders below that are ``train``, ``test`` and perhaps ``val``.
    """

    depth: int = 0
    has_splits: bool = False

    def place(self, parts: Parts) -> tuple[str | None, SplitName | None]:
        """Return the label (None outside a class folder) and the given split of one file."""
        folders = parts[self.depth : -1]
        if not self.has_splits:
            return (class_label(folders[0]) if folders else None), None
        split = split_name(folders[0]) if folders else None
        if split is None or len(folders) < 2:
            return None, None
        return class_label(folders[1]), split


def tree_layout(files: Sequence[Parts], *, see_through: bool, where: str) -> Layout:
    """Find out how the files of a tree are laid out.

    Parameters
    ----------
    files
        Every file that counts (not hidden, not pegboard's own), as path components.
    see_through
        Skip a single top folder that only wraps the class folders, as archives often have.
    where
        The source, for messages.

    Raises
    ------
    SourceError
        For a tree of ``train/`` and ``val/`` without ``test/``, which would otherwise be
        taken for two classes.
    """
    depth = _wrappers(files) if see_through else 0
    below = _folders_below(files, depth)
    splits = {split_name(top) for top, classes in below.items() if classes} - {None}
    if {"train", "test"} <= splits:
        return Layout(depth, has_splits=True)
    if splits == {"train", "validation"} and all(split_name(top) for top in below):
        raise SourceError(
            f"{where} holds {' and '.join(sorted(below))} folders but no test folder; "
            "add test/ with the same classes, or name one of the two as the source"
        )
    return Layout(depth)


def _wrappers(files: Sequence[Parts]) -> int:
    """Return how many folders, one inside the other, only wrap two or more folders."""
    depth = 0
    while True:
        below = _folders_below(files, depth)
        inner = next(iter(below.values())) if len(below) == 1 else set()
        if not inner:
            return 0  # a single chain of folders: the first is the class
        depth += 1
        if len(inner) >= 2:
            return depth


def _folders_below(files: Sequence[Parts], depth: int) -> dict[str, set[str]]:
    """Return each folder at ``depth`` with the names of the folders inside it."""
    below: dict[str, set[str]] = {}
    for parts in files:
        if len(parts) > depth + 1:
            inner = below.setdefault(parts[depth], set())
            if len(parts) > depth + 2:
                inner.add(parts[depth + 1])
    return below
