"""Where photos come from: folders, tables, arrays, archives and built-in names.

:func:`open_source` finds out what the user named. Every source lists each file, member or
row exactly once, as an entry or as left out with a reason.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from pegboard.errors import SourceError
from pegboard.photos import Source
from pegboard.sources import archives, builtin, idx, npz, pixels_csv, tables
from pegboard.sources.base import SourceOptions
from pegboard.sources.folders import FolderSource

__all__ = ["SourceOptions", "open_source"]

_DEFAULT_OPTIONS = SourceOptions()

_EXPECTED = (
    "a folder of class folders, a CSV, TSV or Parquet table, an IDX folder, "
    "an .npz, .zip or .tar file"
)


def open_source(text: str, options: SourceOptions = _DEFAULT_OPTIONS) -> Source:
    """Open what the user named as SOURCE.

    ``digits`` always means the built-in digits; ``mnist``, ``fashion-mnist`` and ``cifar10``
    mean a file or folder of that name if there is one, else a download. Write ``./digits``
    for a folder of that name.

    Parameters
    ----------
    text
        A path or a built-in name.
    options
        Names of a table's columns.

    Raises
    ------
    SourceError
        When nothing is there, or it is not one of the kinds that can be read.
    MissingExtra
        For a Parquet table without the extra ``parquet``.
    """
    path = Path(text)
    if text == "digits" or (text in builtin.BUILTIN and not os.path.lexists(path)):
        return builtin.BUILTIN[text]()
    try:
        path.stat()
        if path.is_dir():
            os.scandir(path).close()
    except (OSError, ValueError) as error:
        raise SourceError(_not_there(text, error)) from error
    if not text:
        raise SourceError(f"expected {_EXPECTED}; found an empty name")
    if path.is_dir():
        return idx.open_idx(path) if idx.image_files(path) else FolderSource(path)
    return _open_file(path, options)


def _not_there(text: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        names = ", ".join(builtin.BUILTIN)
        return f"there is no {text!r}; expected {_EXPECTED}, or one of the names {names}"
    return f"{text!r} cannot be opened: {getattr(error, 'strerror', None) or error}"


def _open_file(path: Path, options: SourceOptions) -> Source:
    if not path.is_file():
        raise SourceError(f"{path} is not a regular file; expected {_EXPECTED}")
    head = _head(path)
    suffix = path.suffix.lower()
    if idx.is_image_file(path):
        return idx.open_idx(path.parent)
    if suffix == ".npz":
        return npz.open_npz(path)
    if suffix in (".parquet", ".pq") or head.startswith(b"PAR1"):
        return _open_manifest(path, tables.read_parquet(path), options)
    if suffix == ".zip" or zipfile.is_zipfile(path):
        return archives.open_zip(path)
    if ".tar" in path.suffixes or suffix in (".tgz", ".tbz2", ".txz") or archives.is_tar(path):
        return archives.open_tar(path)
    return _open_text(path, head, options)


def _open_text(path: Path, head: bytes, options: SourceOptions) -> Source:
    if path.suffix.lower() not in (".csv", ".tsv", ".txt") and b"\0" in head:
        raise SourceError(f"{path} is none of the kinds that can be read; expected {_EXPECTED}")
    text = tables.read_text(path)
    if pixels_csv.looks_like_pixels(text, options):
        return pixels_csv.open_pixels_csv(path, text, options)
    return _open_manifest(path, tables.parse_table(path, text), options)


def _open_manifest(path: Path, table: tables.Table, options: SourceOptions) -> Source:
    return tables.ManifestSource(path, table, options, open_source)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
