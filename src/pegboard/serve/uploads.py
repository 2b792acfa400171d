"""The photos of a request: its whole body, or the parts of a form. In memory only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pegboard.serve.problems import Problem

FORM = "multipart/form-data"
PHOTO_FIELDS = ("photos", "photo")
_MOST_FIELDS = 100
_LONGEST_NAME = 255


@dataclass
class Part:
    """One part of a form: a file when it has a file name."""

    name: str = ""
    file_name: str | None = None
    data: bytearray = field(default_factory=bytearray)

    def text(self) -> str:
        """Return a field that is text.

        Raises
        ------
        Problem
            When it is not UTF-8.
        """
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Problem(422, f"{self.name}: expected text in UTF-8") from error


@dataclass(frozen=True)
class Upload:
    """A photo that was sent; ``name`` is what its sender calls it."""

    name: str | None
    data: bytes = field(repr=False)


def is_form(content_type: str) -> bool:
    """Whether a body is a form of several parts."""
    return content_type.partition(";")[0].strip().lower() == FORM


def uploads(body: bytes, content_type: str, most: int) -> list[Upload]:
    """Return the photos of a request, of which its Content-Type is not believed.

    Raises
    ------
    Problem
        400 for a form that cannot be read, 413 for too many photos, 422 for none.
    """
    if is_form(content_type):
        found = [_photo(part) for part in parts_of(body, content_type)]
    else:
        found = [Upload(None, body)] if body else []
    if not found:
        raise Problem(
            422,
            "expected a photo: its file as the body, or one or more in the field 'photos' of a "
            f"{FORM} form; found none",
        )
    if len(found) > most:
        raise Problem(413, f"a request may hold {most} photos, found {len(found)}")
    return found


def _photo(part: Part) -> Upload:
    if part.name not in PHOTO_FIELDS:
        raise Problem(422, f"expected photos in the field 'photos', found {part.name[:80]!r}")
    return Upload(part.file_name, bytes(part.data))


def parts_of(body: bytes, content_type: str) -> list[Part]:
    """Return the parts of a form.

    Raises
    ------
    Problem
        400 when it cannot be read or ends early.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise Problem(400, f"{FORM} without a boundary")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem(400, f"the form cannot be read: {str(error)[:200]}") from error
    if not reader.is_whole:
        raise Problem(400, "the form ends before its last boundary")
    return reader.parts


class _Reader:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.is_whole = False
        self._header, self._value = b"", b""
        self._disposition = b""

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) == _MOST_FIELDS:
            raise Problem(413, f"a form may have {_MOST_FIELDS} parts")
        self.parts.append(Part())
        self._disposition = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += data[start:end]

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name, file_name = options.get(b"name"), options.get(b"filename")
        if name is None:
            raise Problem(400, "a part of the form has no name")
        self.parts[-1].name = _text(name)
        self.parts[-1].file_name = None if file_name is None else _text(file_name)

    def _end(self) -> None:
        self.is_whole = True


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")[:_LONGEST_NAME]
