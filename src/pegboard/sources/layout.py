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
        For a tree of split folders that lacks ``train/`` or ``test/``, or where one of them holds
        no class folders: they would otherwise be taken for classes.
    """
    depth = _wrappers(files) if see_through else 0
    below = _folders_below(files, depth)
    named = {top: split for top in sorted(below) if (split := split_name(top))}
    whole = [top for top in named if below[top]]
    splits = {named[top] for top in whole}
    if {"train", "test"} <= splits:
        return Layout(depth, has_splits=True)
    flat = [top for top in named if not below[top]]
    if whole and flat:
        raise SourceError(_flat(where, whole, flat, in_archive=see_through))
    if len(splits) > 1:
        missing = "test" if "train" in splits else "train"
        raise SourceError(
            f"{where} holds {' and '.join(whole)} folders but no {missing} folder; "
            f"add {missing}/ with the same classes, or name one of the two as the source"
        )
    return Layout(depth)


def _flat(where: str, whole: Sequence[str], flat: Sequence[str], *, in_archive: bool) -> str:
    first = next((top for top in whole if split_name(top) == "train"), whole[0])
    name_it = f"pack {first}/ alone" if in_archive else f"name {first}/ as the source"
    return (
        f"{where}: {_and(flat)} {'holds' if len(flat) == 1 else 'hold'} no class folders, as "
        f"{_and(whole)} {'does' if len(whole) == 1 else 'do'}; put its photos into class folders, "
        f"or {name_it}"
    )


def _and(folders: Sequence[str]) -> str:
    return " and ".join(f"{folder}/" for folder in folders)


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
