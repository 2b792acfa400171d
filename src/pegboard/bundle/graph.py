"""What an ONNX file says of itself, read and written without the ``onnx`` package.

Little is wanted of a file of megabytes, and a base install has no ``onnx``: the outer message is
walked field by field, and nothing but its small fields is looked into. The wire format is Protocol
Buffers'; field numbers are those of ``onnx.proto``: ModelProto 1 is ``ir_version``, 8
``opset_import``, 14 ``metadata_props``; OperatorSetIdProto 1 is ``domain``, 2 ``version``;
StringStringEntryProto 1 is ``key``, 2 ``value``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pegboard.errors import BundleError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_IR_VERSION, _OPSET_IMPORT = 1, 8
_METADATA = 14
_DOMAIN, _VERSION = 1, 2
_KEY, _VALUE = 1, 2
_LONGEST_VARINT = 10


@dataclass(frozen=True)
class GraphFormat:
    """Version of the file format, and of the operators of ONNX itself."""

    ir_version: int
    opset: int


def graph_format(model: bytes) -> GraphFormat:
    """Return the format of an ONNX file.

    Raises
    ------
    BundleError
        When the bytes are no ONNX file, or state no version.
    """
    ir_version, opset = None, None
    for part in _parts(model):
        if part.number == _IR_VERSION and isinstance(part.value, int):
            ir_version = part.value
        entry = _entry(part) if part.number == _OPSET_IMPORT else None
        if entry is not None and entry.get(_DOMAIN, b"") in (b"", b"ai.onnx"):
            opset = entry.get(_VERSION)
    if ir_version is None or not isinstance(opset, int):
        raise BundleError("model.onnx does not say its IR version and opset")
    return GraphFormat(ir_version, opset)


def with_metadata(model: bytes, texts: Mapping[str, str]) -> bytes:
    """Return an ONNX file with these entries among its metadata, in place of any of their names.

    Raises
    ------
    BundleError
        When the bytes are no ONNX file.
    """
    view = memoryview(model)
    replaced = {key.encode() for key in texts}
    kept = [
        view[part.start : part.end]
        for part in _parts(model)
        if not (part.number == _METADATA and (_entry(part) or {}).get(_KEY) in replaced)
    ]
    added = (
        _bytes_field(
            _METADATA, _bytes_field(_KEY, key.encode()) + _bytes_field(_VALUE, text.encode())
        )
        for key, text in sorted(texts.items())
    )
    return b"".join((*kept, *added))


class _Part(NamedTuple):
    """One field of a message, and where it stands."""

    number: int
    value: int | memoryview
    start: int
    end: int


def _parts(model: bytes) -> list[_Part]:
    try:
        return list(_fields(memoryview(model)))
    except (IndexError, ValueError) as error:
        raise BundleError("model.onnx is not an ONNX file") from error


def _entry(part: _Part) -> dict[int, int | bytes] | None:
    """Return the fields of a message within the message."""
    if isinstance(part.value, int):
        return None
    try:
        return {
            inner.number: inner.value if isinstance(inner.value, int) else bytes(inner.value)
            for inner in _fields(part.value)
        }
    except (IndexError, ValueError) as error:
        raise BundleError("model.onnx is not an ONNX file") from error


def _bytes_field(number: int, data: bytes) -> bytes:
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(data)) + data


def _as_varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*data, value))


def _fields(data: memoryview) -> Iterator[_Part]:
    place = 0
    while place < len(data):
        start = place
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield _Part(number, value, start, place)
            continue
        if kind == _BYTES:
            length, place = _varint(data, place)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("unknown wire type")
        if place + length > len(data):
            raise ValueError("cut off")
        yield _Part(number, data[place : place + length], start, place + length)
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(_LONGEST_VARINT):
        byte = data[place + shift]
        value |= (byte & 0x7F) << (7 * shift)
        if not byte & 0x80:
            return value, place + shift + 1
    raise ValueError("a number without end")
