"""Write files so that one that exists is whole.

Everything is written under a temporary name in the same folder, flushed to disk and then
renamed over the final name. An interrupted or failed write leaves the old file as it was.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pegboard.errors import PegboardError

_TEMPORARY_PREFIX = ".pegboard-"

LEFTOVERS = f"{_TEMPORARY_PREFIX}*"
"""Pattern of what a write leaves behind when the machine stops in the middle of it."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to ``path`` when the block succeeds.

    The temporary name keeps the suffix of ``path``, so libraries that choose a format by
    suffix behave as usual. It does not exist yet: the block creates it. When the block
    raises, the temporary file is removed and ``path`` is left as it was.

    Raises
    ------
    PegboardError
        When the folder is missing or not writable, the disk is full, or ``path`` is
        something other than a regular file. Errors of the block that are not about
        writing pass through unchanged.
    """
    final = _regular(Path(path))
    temporary = final.with_name(f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}{final.suffix}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(final)
    except OSError as error:
        if not _is_about_writing(error, temporary):
            raise
        raise PegboardError(f"cannot write {final}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes_atomically(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all.

    Raises
    ------
    PegboardError
        As :func:`atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text_atomically(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all; newlines as they are.

    Names of files that are no valid Unicode (``surrogateescape``) keep their bytes.

    Raises
    ------
    PegboardError
        As :func:`atomic_path`.
    """
    write_bytes_atomically(path, text.encode("utf-8", "surrogateescape"))


def _regular(path: Path) -> Path:
    try:
        if path.exists() and not path.is_file():
            raise PegboardError(f"cannot write {path}: it exists and is not a regular file")
        # A link stays a link: the file it points to is the one that is renewed.
        return path.resolve() if path.is_symlink() else path
    except OSError as error:
        raise PegboardError(f"cannot write {path}: {error.strerror}") from error


def _flush(path: Path) -> None:
    # Without this, a power cut after the rename could leave an empty file behind.
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _is_about_writing(error: OSError, temporary: Path) -> bool:
    # A failed write() names no file; a failed open() or rename names the temporary one.
    if error.errno is None:
        return False
    return error.filename is None or Path(os.fsdecode(error.filename)) == temporary


def check_folder_of(out: Path) -> None:
    """Refuse an ``--out`` before anything is done for it, if there is no folder to write it in.

    Raises
    ------
    PegboardError
        When the folder is not there.
    """
    if not out.absolute().parent.is_dir():
        raise PegboardError(f"--out {out}: there is no folder {out.parent}; make it first")
