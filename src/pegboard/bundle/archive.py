"""Writing and reading the zip, with nothing left unchecked."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pegboard import __version__
from pegboard.bundle.card import model_card
from pegboard.bundle.card_files import to_html, to_markdown
from pegboard.bundle.graph import graph_format
from pegboard.bundle.info import FORMAT, READABLE, SUFFIX, BundleInfo
from pegboard.bundle.likeness import Likeness
from pegboard.bundle.network import Network, Reference, blow_up, reference_grids
from pegboard.bundle.tested import TestAnswers
from pegboard.errors import BundleError
from pegboard.files import atomic_path

_MODEL, _INFO, _CARD, _PAGE = "model.onnx", "model.json", "card.md", "card.html"
_REFERENCE, _CHECKSUMS = "reference.npz", "checksums.json"
_FIRST_MEMBERS = (_CARD, _CHECKSUMS, _INFO, _MODEL, _REFERENCE)
_LATER_MEMBERS = (_PAGE, *_FIRST_MEMBERS)
_MEMBERS = {1: _FIRST_MEMBERS, 2: _LATER_MEMBERS, 3: _LATER_MEMBERS, 4: _LATER_MEMBERS}
"""By format, in the order of their names."""
_LIKENESS, _ANSWERS = "likeness.npz", "answers.npz"
_OPTIONAL = {1: (), 2: (), 3: (_ANSWERS, _LIKENESS), 4: (_ANSWERS, _LIKENESS)}
"""By format: what need not be there."""
_LARGEST = {
    _MODEL: 2**31,
    _INFO: 2**24,
    _CARD: 2**22,
    _PAGE: 2**22,
    _REFERENCE: 2**26,
    _CHECKSUMS: 2**16,
    _LIKENESS: 2**30,
    _ANSWERS: 2**28,
}
"""Bytes; ONNX itself ends at 2 GiB."""
_Part = TypeVar("_Part")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The zip format's first day: a date would make equal bundles differ."""
_ZIP_MAGIC = b"PK\x03\x04"
_LOCAL_BYTES, _ENTRY_BYTES, _END_BYTES = 30, 46, 22
"""Of a zip's header before each member, of its entry in the directory, and of the end record,
names aside (APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16)."""

# What zipfile raises on altered archives besides BadZipFile.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
    OverflowError,
)


class DamagedBundleError(BundleError):
    """A bundle whose bytes are not those that were written."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and found whole."""

    path: Path
    info: BundleInfo
    model: bytes = field(repr=False)
    """The ONNX file."""
    card: str = field(repr=False)
    """The model card as Markdown."""
    card_page: str = field(repr=False)
    """The model card as a page; empty in a bundle of the first format."""
    reference: Reference = field(repr=False)
    likeness: Likeness | None = field(default=None, repr=False)
    """What tells photos unlike all training photos, where the model tells them."""
    answers: TestAnswers | None = field(default=None, repr=False)
    """The trained model's answers to test photos, to repeat the comparison with."""


# --- writing -----------------------------------------------------------------------------


def write_bundle(
    path: str | Path,
    *,
    onnx: bytes | Path,
    info: BundleInfo,
    reference: Reference | None = None,
    likeness: Likeness | None = None,
    answers: TestAnswers | None = None,
) -> BundleInfo:
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    path
        The file; one that exists is replaced.
    onnx
        The network (or its file): input ``images`` uint8 ``(N, height, width, channels)``,
        output ``probabilities`` float32 ``(N, classes)``.
    info
        What is said about it.
    reference
        The trained model's answers to the reference inputs; without them, the answers of
        ``onnx`` itself on this machine are stored.
    likeness, answers
        As in :class:`Bundle`.

    Returns
    -------
    ``info`` as it was written: with the format of the graph.

    Raises
    ------
    BundleError
        When the network does not fit ``info``.
    PegboardError
        When the file cannot be written.
    """
    info.check()
    model = onnx if isinstance(onnx, bytes) else onnx.read_bytes()
    info = replace(info, graph=asdict(graph_format(model)))
    if reference is None:
        network = Network(model, info.input, len(info.classes))
        grids = reference_grids(info.input.channels)
        reference = Reference(grids, network.probabilities(blow_up(grids, info.input)))
    card = model_card(info)
    members = {
        _CARD: to_markdown(card).encode(),
        _PAGE: to_html(card).encode(),
        _INFO: _json_bytes(info.to_json()),
        _MODEL: model,
        _REFERENCE: npz_bytes({"grids": reference.grids, "probabilities": reference.probabilities}),
    }
    if likeness is not None:
        members[_LIKENESS] = npz_bytes(likeness.arrays())
    if answers is not None:
        members[_ANSWERS] = npz_bytes(answers.arrays())
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    _write_zip(Path(path), members | {_CHECKSUMS: _json_bytes(sums)})
    return info


def write_again(path: str | Path, bundle: Bundle, **changes: Any) -> BundleInfo:
    """Write a bundle that was read, with some of its parts changed.

    Parameters
    ----------
    changes
        ``info``, ``onnx``, ``reference``, ``likeness`` or ``answers``, as for
        :func:`write_bundle`.
    """
    parts: dict[str, Any] = {
        "onnx": bundle.model,
        "info": bundle.info,
        "reference": bundle.reference,
        "likeness": bundle.likeness,
        "answers": bundle.answers,
    }
    return write_bundle(path, **(parts | changes))


def rewrite_info(path: str | Path, info: BundleInfo) -> None:
    """Replace what a bundle says about its model, such as figures measured on the bundle.

    Raises
    ------
    BundleError
        When the file is no bundle, or ``info`` does not fit its network.
    """
    bundle = read_bundle(path)
    old = bundle.info
    if (info.input, info.classes, info.temperature) != (old.input, old.classes, old.temperature):
        raise BundleError(f"{path}: the new description belongs to another network")
    write_again(path, bundle, info=info)


def tell_size(path: str | Path) -> int:
    """Let a bundle's figures say how large its file is; return that.

    The size stands in the file whose size it is, so it is written until it holds.
    """
    path = Path(path)
    for _ in range(4):
        info, size = read_info(path), path.stat().st_size
        if info.figures.get("size_bytes") == size:
            break
        rewrite_info(path, replace(info, figures={**info.figures, "size_bytes": size}))
    return path.stat().st_size


def _write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, date_time=_EPOCH)
            member.create_system = 3  # else the byte says on which system it was written
            member.external_attr = 0o644 << 16
            archive.writestr(member, members[name], compress_type=zipfile.ZIP_STORED)


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as an ``.npz`` file; the same arrays in the same order give the same bytes."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


# --- reading -----------------------------------------------------------------------------


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle and check all of it: archive, format, members, sizes, checksums, values.

    Raises
    ------
    BundleError
        When the file is missing, is not a bundle, or was made by a newer pegboard.
    DamagedBundleError
        When it was cut off or altered.
    """
    path = Path(path)
    with _open_zip(path) as archive:
        try:
            expected = _checked_members(path, archive)
            members = {name: _read_member(path, archive, name) for name in expected}
        except (OSError, *_ZIP_ERRORS) as error:
            raise _damaged(path, str(error)) from error
    sums = _sums(path, members, expected)
    _check_sums(path, members, sums)
    try:
        info = BundleInfo.from_json(_parse(members[_INFO]))
        _check_graph(members[_MODEL], info)
        card, page = members[_CARD].decode(), members.get(_PAGE, b"").decode()
        return Bundle(
            path,
            info,
            members[_MODEL],
            card,
            page,
            _parse_reference(members[_REFERENCE], info),
            _optional(members, _LIKENESS, lambda arrays: Likeness.from_arrays(arrays, info)),
            _optional(members, _ANSWERS, lambda arrays: TestAnswers.from_arrays(arrays, info)),
        )
    except BundleError as error:
        raise BundleError(f"{path} cannot be used: {error}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} cannot be used: its card is not UTF-8") from error


def read_info(path: str | Path) -> BundleInfo:
    """Read only what a bundle says about its model; its network is neither read nor checked.

    Raises
    ------
    BundleError, DamagedBundleError
        As :func:`read_bundle`.
    """
    path = Path(path)
    with _open_zip(path) as archive:
        try:
            expected = _checked_members(path, archive)
            members = {name: _read_member(path, archive, name) for name in (_INFO, _CHECKSUMS)}
        except (OSError, *_ZIP_ERRORS) as error:
            raise _damaged(path, str(error)) from error
    sums = _sums(path, members, expected)
    _check_sums(path, {_INFO: members[_INFO]}, sums)
    try:
        return BundleInfo.from_json(_parse(members[_INFO]))
    except BundleError as error:
        raise BundleError(f"{path} cannot be used: {error}") from error


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        with path.open("rb") as file:
            start = file.read(4)
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise BundleError(f"{path} does not exist; expected a {SUFFIX} file") from error
    except IsADirectoryError as error:
        raise BundleError(
            f"{path} is a folder; expected a {SUFFIX} file, such as models/NAME/NAME{SUFFIX} in it"
        ) from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    except _ZIP_ERRORS as error:
        if start == _ZIP_MAGIC:
            raise _damaged(path, "the archive is cut off") from error
        raise _not_a_bundle(path, f"{_kind(start)}") from error


def _check_format(path: Path, archive: zipfile.ZipFile) -> int:
    """Return the bundle's format, if this pegboard reads it."""
    if min((member.header_offset for member in archive.infolist()), default=0) > 0:
        # Of a bundle cut off near its end, the directory of reference.npz is found instead.
        raise _damaged(path, "the archive is cut off")
    if _INFO not in archive.namelist():
        raise _not_a_bundle(path, "a zip without model.json")
    try:
        found = _parse(_read_member(path, archive, _INFO)).get("format")
    except DamagedBundleError:
        raise
    except BundleError as error:
        raise _damaged(path, f"{_INFO}: {error}") from error
    if isinstance(found, int) and found > FORMAT:
        raise BundleError(
            f"{path} has bundle format {found} and this pegboard ({__version__}) reads up to "
            f"{FORMAT}; update pegboard: pip install --upgrade pegboard"
        )
    if not isinstance(found, int) or found not in READABLE:
        raise _not_a_bundle(path, f"model.json with format {found!r} instead of {FORMAT}")
    return found


def _checked_members(path: Path, archive: zipfile.ZipFile) -> tuple[str, ...]:
    """Return the names of the members, which are those of the bundle's format."""
    number = _check_format(path, archive)
    _check_layout(path, archive)
    required, optional = _MEMBERS[number], _OPTIONAL[number]
    names = archive.namelist()
    expected = (*required, *(name for name in optional if name in names))
    if sorted(names) != sorted(expected):
        found = ", ".join(sorted(names))[:200]
        raise _damaged(path, f"expected {', '.join(expected)}, found {found}")
    return expected


def _check_layout(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse bytes that no checksum covers: before, between and after what was written."""
    end = directory = 0
    for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
        name = len(member.filename.encode())
        if member.header_offset != end or member.extra or member.comment:
            raise _damaged(path, f"there is something else before {member.filename}")
        end += _LOCAL_BYTES + name + member.compress_size
        directory += _ENTRY_BYTES + name
    if archive.start_dir != end or path.stat().st_size != end + directory + _END_BYTES:
        raise _damaged(path, "there is something else after its last part")


def _read_member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise _damaged(path, f"{name} is compressed or encrypted, which pegboard never does")
    if member.file_size > _LARGEST[name] or member.file_size != member.compress_size:
        raise _damaged(path, f"{name} claims {member.file_size} bytes")
    with archive.open(member) as file:
        data = file.read()
    if len(data) != member.file_size:
        raise _damaged(path, f"{name} is cut off")
    return data


def _sums(path: Path, members: Mapping[str, bytes], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the checksums; there must be one for each of the other members."""
    try:
        sums = _parse(members[_CHECKSUMS])
    except BundleError as error:
        raise _damaged(path, str(error)) from error
    if sorted(sums) != sorted(name for name in names if name != _CHECKSUMS):
        raise _damaged(path, "checksums.json does not list the other members")
    return sums


def _check_sums(path: Path, members: Mapping[str, bytes], sums: Mapping[str, Any]) -> None:
    for name, data in members.items():
        if name != _CHECKSUMS and hashlib.sha256(data).hexdigest() != sums[name]:
            raise _damaged(path, f"{name} is not what its checksum says")


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"its JSON cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise BundleError("its JSON is not an object")
    return value


def _check_graph(model: bytes, info: BundleInfo) -> None:
    """Check that the network is of the format that model.json says, where it says one."""
    if info.graph and asdict(graph_format(model)) != info.graph:
        raise BundleError(
            f"model.json states {_format_words(info.graph)}, model.onnx has "
            f"{_format_words(asdict(graph_format(model)))}"
        )


def _format_words(graph: Mapping[str, int]) -> str:
    return f"IR version {graph.get('ir_version')} and opset {graph.get('opset')}"


def _parse_reference(data: bytes, info: BundleInfo) -> Reference:
    arrays = _arrays(data, _REFERENCE)
    try:
        reference = Reference(arrays["grids"], arrays["probabilities"])
    except KeyError as error:
        raise BundleError(f"{_REFERENCE} cannot be read: it has no {error}") from error
    grids, answers = reference.grids, reference.probabilities
    if (
        grids.dtype != np.uint8
        or grids.ndim != 4
        or grids.shape[3] != info.input.channels
        or answers.dtype != np.float32
        or answers.shape != (len(grids), len(info.classes))
    ):
        raise BundleError(f"{_REFERENCE} does not fit model.json")
    return reference


def _optional(
    members: Mapping[str, bytes], name: str, parse: Callable[[dict[str, NDArray[Any]]], _Part]
) -> _Part | None:
    """Return what an optional member holds, or None where it is not there."""
    if name not in members:
        return None
    try:
        return parse(_arrays(members[name], name))
    except (KeyError, ValueError) as error:
        raise BundleError(f"{name} does not fit model.json: {error}") from error


def _arrays(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (KeyError, OSError, *_ZIP_ERRORS) as error:
        raise BundleError(f"{name} cannot be read: {error}") from error


def _damaged(path: Path, detail: str) -> DamagedBundleError:
    # A damaged directory can hold any name, and an error is one line.
    legible = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in detail
    )
    return DamagedBundleError(
        f"{path} was damaged or altered: {legible}; copy or export it again from its run folder"
    )


def _not_a_bundle(path: Path, found: str) -> BundleError:
    return BundleError(
        f"{path} is not a {SUFFIX} file (found {found}); "
        f"pegboard compare writes one per model: RUN/models/NAME/NAME{SUFFIX}"
    )


def _kind(start: bytes) -> str:
    kinds = {b"": "an empty file", b"\xff\xd8": "a JPEG image", b"\x89PNG": "a PNG image"}
    for magic, kind in kinds.items():
        if start == magic or (magic and start.startswith(magic)):
            return kind
    return "another kind of file"
