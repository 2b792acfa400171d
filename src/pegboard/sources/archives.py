"""Class folders inside a .zip or .tar: nothing is ever unpacked under a member's own name."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import tarfile
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from pegboard.errors import SourceError, UnusableImage
from pegboard.images import HEAD_BYTES, sniff
from pegboard.photos import Entry, LeftOut, Listing, Reason
from pegboard.reading import MAX_FILE_BYTES, read_file, read_stream
from pegboard.sources.base import (
    is_hidden,
    short_name,
    shown,
)
from pegboard.sources.folders import OWN_FOLDERS
from pegboard.sources.layout import tree_layout

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What the standard library raises on damaged or encrypted archives, besides OSError."""


@dataclass(frozen=True)
class Member:
    """One archive member that is not a folder.

    ``problem`` is (reason, detail) when it cannot be used; ``read`` returns its bytes.
    """

    name: str
    problem: tuple[Reason, str] | None
    read: Callable[[], bytes]


class ArchiveSource:
    """Photos in class folders of an archive, shown as ``a.zip!/class/photo.jpg``."""

    def __init__(self, file: Path, members: Iterable[Member]) -> None:
        self.location = str(file.resolve())
        self.name = short_name(_stem(file.name))
        self._file = file
        self._prefix = f"{file.name}!/"
        self._left_out: list[LeftOut] = []
        self._members: dict[str, Member] = {}
        for member in members:
            self._add(member)

    def _add(self, member: Member) -> None:
        parts = _parts(member.name)
        path = self._prefix + shown("/".join(parts))
        problem = _name_problem(member.name, parts) or member.problem
        if problem:
            self._left_out.append(LeftOut(self._prefix + shown(member.name), *problem))
            return
        if path in self._members:
            # Unpacking would let the last one win; so does reading.
            detail = "a later member of the same name replaces it"
            self._left_out.append(LeftOut(path, "excluded", detail))
        self._members[path] = member

    def listing(self) -> Listing:
        """List every member that is not a folder, sorted by name."""
        paths = sorted(self._members)
        parts = [path.removeprefix(self._prefix).split("/") for path in paths]
        layout = tree_layout(parts, see_through=True, where=str(self._file))
        entries = []
        for path, components in zip(paths, parts, strict=True):
            label, split = layout.place(components)
            entries.append(Entry(path, label, split))
        return Listing(entries, self._left_out)

    def read(self, path: str) -> bytes:
        """Return one member's bytes; OSError or UnusableImage when it cannot be read."""
        member = self._members.get(path)
        if member is None:
            raise FileNotFoundError(errno.ENOENT, "no such member", path)
        try:
            return member.read()
        except _DAMAGE as error:
            raise UnusableImage("unreadable", f"damaged in the archive: {error}") from error


def _stem(name: str) -> str:
    for ending in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(ending)
    return PurePosixPath(name).stem


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _name_problem(name: str, parts: list[str]) -> tuple[Reason, str] | None:
    if not parts:
        return "unreadable", "the member has no name"
    if ".." in parts or name.startswith(("/", "\\")) or parts[0][1:2] == ":":
        return "unreadable", "the member's name leads outside the archive"
    if is_hidden(parts):
        return "hidden", "hidden file or folder"
    if parts[-1].endswith(".pegboard") or OWN_FOLDERS.intersection(parts[:-1]):
        return "pegboard-output", "written by pegboard"
    return None


def _too_large(size: int) -> tuple[Reason, str] | None:
    if size <= MAX_FILE_BYTES:
        return None
    return "too-large", f"{size / 2**20:,.0f} MB; at most {MAX_FILE_BYTES // 2**20} MB are read"


# --- Zip ---------------------------------------------------------------------------------


def open_zip(file: Path) -> ArchiveSource:
    """Open a .zip of class folders.

    Raises
    ------
    SourceError
        When it is not a readable zip archive.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (OSError, *_DAMAGE) as error:
        raise SourceError(f"{file} is not a readable zip archive: {error}") from error
    lock = threading.Lock()
    members = (_zip_member(archive, info, lock) for info in archive.infolist() if not info.is_dir())
    return ArchiveSource(file, members)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock) -> Member:
    def read() -> bytes:
        # One file position is shared by all threads; decoding, the long part, is outside.
        with lock, archive.open(info) as opened:
            return read_stream(opened)

    encrypted = bool(info.flag_bits & 1)
    problem: tuple[Reason, str] | None = ("unreadable", "encrypted") if encrypted else None
    return Member(_zip_name(info), problem or _too_large(info.file_size), read)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; macOS writes UTF-8 without saying so."""
    says_utf8 = bool(info.flag_bits & 0x800)
    if says_utf8 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


# --- Tar ---------------------------------------------------------------------------------


def open_tar(file: Path) -> ArchiveSource:
    """Open a .tar of class folders, compressed (gzip, bzip2, xz) or not.

    A plain tar is read in place. A compressed one cannot be read at random, so its images
    are copied once to a temporary folder, under numbers, and removed at the end.

    Raises
    ------
    SourceError
        When it is not a readable tar archive, or the temporary folder is full.
    """
    try:
        if _is_plain_tar(file):
            return ArchiveSource(file, _plain_members(file))
        return _open_compressed(file)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        what = f"the temporary folder {tempfile.gettempdir()} is full" if full else str(error)
        raise SourceError(f"{file} cannot be read: {what}") from error
    except _DAMAGE as error:
        raise SourceError(f"{file} is not a readable tar archive: {error}") from error


def _is_plain_tar(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(6)
    return not start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ"))


def _plain_members(file: Path) -> Iterator[Member]:
    with tarfile.open(file, "r:") as archive:
        infos = archive.getmembers()
        for info in infos:
            if not info.isdir():
                yield Member(info.name, _tar_problem(info), _reader(file, _target(archive, info)))


def _target(archive: tarfile.TarFile, info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Follow a hard link to the member that holds the bytes."""
    if not info.islnk():
        return info
    try:
        return archive.getmember(info.linkname)
    except KeyError:
        return info


def _reader(file: Path, info: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        if not info.isreg():
            raise UnusableImage("unreadable", "a link to nothing in the archive")
        with file.open("rb") as opened:
            opened.seek(info.offset_data)
            data = opened.read(info.size)
        if len(data) < info.size:
            raise UnusableImage("truncated", "the archive ends within this member")
        return data

    return read


def _tar_problem(info: tarfile.TarInfo) -> tuple[Reason, str] | None:
    if info.issym():
        return "unreadable", "a symbolic link"
    if not (info.isreg() or info.islnk()):
        return "unreadable", "not a regular file"
    if info.issparse():
        return "unreadable", "stored as a sparse file"
    return _too_large(info.size)


def _open_compressed(file: Path) -> ArchiveSource:
    folder = Path(tempfile.mkdtemp(prefix="pegboard-"))
    try:
        source = ArchiveSource(file, _spooled_members(file, folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(source, _remove, folder, os.getpid())
    return source


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # A forked worker must not take the files from its parent.
        shutil.rmtree(folder, ignore_errors=True)


def _spooled_members(file: Path, folder: Path) -> Iterator[Member]:
    copies: dict[str, Path] = {}
    with tarfile.open(file, "r|*") as archive:
        for number, info in enumerate(archive):
            if info.isdir():
                continue
            problem = _tar_problem(info)
            if info.islnk():
                copy = copies.get(info.linkname, folder / "no-such-copy")
            else:
                copy = copies[info.name] = folder / str(number)
            if problem is None and info.isreg():
                problem = _spool(archive.extractfile(info), copy)
            yield Member(info.name, problem, _copy_reader(copy))


def _spool(opened: IO[bytes] | None, copy: Path) -> tuple[Reason, str] | None:
    """Copy one member if it looks like an image; return why not otherwise."""
    if opened is None:
        return "unreadable", "not a regular file"
    head = opened.read(HEAD_BYTES)
    try:
        sniff(head)
    except UnusableImage as error:
        return error.reason, error.detail  # type: ignore[return-value]
    with copy.open("wb") as target:
        target.write(head)
        shutil.copyfileobj(opened, target)
    return None


def _copy_reader(copy: Path) -> Callable[[], bytes]:
    return lambda: read_file(copy)


def is_tar(file: Path) -> bool:
    """Whether a file is a tar archive, compressed or not, going by its content."""
    try:
        return tarfile.is_tarfile(file)
    except (OSError, *_DAMAGE):
        return False
