"""Writing trees of class folders: names that stay inside, and all of a tree or nothing."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pegboard.errors import PegboardError, RunFolderError
from pegboard.photos import Source


def check_new_folder(folder: Path, source: Source, option: str) -> None:
    """Refuse, before photos are read, a folder in which photos must not be written.

    Raises
    ------
    RunFolderError
        When it is not empty, or lies inside the source.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunFolderError(
            f"{option} {folder} is not an empty folder; name one that is new or empty"
        )
    if Path(source.location).is_dir() and folder.resolve().is_relative_to(source.location):
        raise RunFolderError(
            f"{option} {folder} lies inside the source, whose photos it would mix with; "
            "name a folder elsewhere"
        )


@contextmanager
def tree_in_place(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``; put its content there when the block succeeds.

    Raises
    ------
    PegboardError
        When the folder cannot be written.
    """
    folder = folder.absolute()
    temporary = folder.with_name(f".pegboard-{secrets.token_hex(8)}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _move(temporary, folder)
    except OSError as error:
        raise PegboardError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
        return
    # An empty folder may be where the user stands, or a mount point: it stays.
    for part in sorted(temporary.iterdir()):
        part.rename(folder / part.name)


def class_folders(labels: set[str]) -> dict[str, str]:
    """Return a folder name for every class.

    No two classes share one, even where letter case does not tell names apart.
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    # Names that are fine as they are come first and keep them.
    for label in sorted(labels, key=lambda label: (safe_name(label) != label, label)):
        name, number = safe_name(label), 2
        while name.casefold() in taken:
            name, number = f"{safe_name(label)}-{number}", number + 1
        taken.add(name.casefold())
        folders[label] = name
    return folders


def safe_name(name: str) -> str:
    """Return a name that stays inside its folder and is not hidden."""
    cleaned = name.replace("/", "_").replace("\\", "_").replace("\0", "_").lstrip(".")
    return cleaned or "_"


_NO_WINDOWS_NAME = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def portable_name(name: str) -> str:
    """Return a name that a folder can have on Linux, macOS and Windows, and is not hidden.

    Source: "Naming Files, Paths, and Namespaces" in Microsoft's documentation of Windows.
    """
    cleaned = "".join("_" if char in '<>:"|?*' or ord(char) < 32 else char for char in name)
    cleaned = safe_name(cleaned).rstrip(" .") or "_"
    return f"_{cleaned}" if _NO_WINDOWS_NAME.fullmatch(cleaned) else cleaned


def portable_folders(labels: Iterable[str], reserved: Iterable[str] = ()) -> dict[str, str]:
    """Return a folder name for every class, as :func:`portable_name` makes them.

    No two classes share one, even where letter case does not tell names apart, and none has a
    ``reserved`` name.
    """
    folders: dict[str, str] = {}
    taken = {name.casefold() for name in reserved}
    # Names that are fine as they are come first and keep them.
    for label in sorted(labels, key=lambda label: (portable_name(label) != label, label)):
        name, number = portable_name(label), 2
        while name.casefold() in taken:
            name, number = f"{portable_name(label)}-{number}", number + 1
        taken.add(name.casefold())
        folders[label] = name
    return folders


def free_path(path: Path, taken: set[Path]) -> Path:
    """Return the path, with a number behind it when taken; letter case does not part two."""
    candidate, number = path, 2
    while Path(str(candidate).casefold()) in taken:
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    taken.add(Path(str(candidate).casefold()))
    return candidate
