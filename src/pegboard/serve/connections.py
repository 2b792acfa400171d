"""Connections that stall: closed after a while, or when another needs the room.

A server waits for what a client sends. Clients that send nothing, or a byte now and then
("slow loris"), must not keep it from the others: a request's head has to be there within
seconds, and of too many connections the one that has kept us waiting longest is closed. A
request that is being answered is never closed for another. Bodies have their time too
(:mod:`pegboard.serve.gate`). A client that asks and does not read the answer stalls as well.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pegboard.serve.limits import Limits
from pegboard.serve.problems import MEDIA_TYPE, problem_bytes

READ_BYTES = 16 << 10
"""Read of one connection before the others get their turn. A body in chunks of a byte each costs
6 microseconds a chunk: what asyncio reads at once by itself, 256 KiB, would hold all others up for
a quarter of a second, over and over."""

_LINGER_SECONDS = 5.0
"""For which what is still sent is thrown away: closed at once, its sender would not read why."""

_WORDS = {
    400: "the request is not valid HTTP/1.1",
    408: "the request did not come within the time allowed for it",
    431: "the request's first line and headers are too long",
    501: "the request uses a transfer encoding other than chunked",
}


class Connections:
    """Connections whose request is not here yet, those that stall longest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.closed = 0
        self._stalling: dict[PatientProtocol, None] = {}

    def begin(self, connection: PatientProtocol) -> None:
        """Note that a connection keeps us waiting; one that already does keeps its place."""
        self._stalling.setdefault(connection)

    def end(self, connection: PatientProtocol) -> None:
        """Note that it does not any more."""
        self._stalling.pop(connection, None)

    def make_room(self) -> bool:
        """Close the connection that has stalled longest; False where none does."""
        longest = next(iter(self._stalling), None)
        if longest is None:
            return False
        self.closed += 1
        longest.drop()
        return True


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with a time for the head of a request, and errors as problems."""

    registry: Connections

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if need be in the place of another."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # asyncio's name for it
            transport.max_size = READ_BYTES
        if len(self.connections) > self.registry.limits.connections and not (
            self.registry.make_room()
        ):
            self.drop()
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and see what they complete."""
        if self._is_refused:
            return
        super().data_received(data)
        if self._has_head() and not self._is_refused:
            self._stop_head_timer()
            self._end_waiting()

    def pause_writing(self) -> None:
        """Wait for a client that does not read what it asked for."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        super().resume_writing()
        self._stop_reader_timer()
        self._end_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request of the connection."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_unless_read()
            return
        if not self._has_head():
            self._wait_for_head()
        elif self.cycle.more_body:  # the head of the next request came with this one
            self.registry.begin(self)

    def drop(self) -> None:
        """Close the connection at once."""
        self._forget()
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, with the status that h11 gives it."""
        error = sys.exc_info()[1]
        status = getattr(error, "error_status_hint", 400)
        self._refuse(status if status in _WORDS else 400)

    def _has_head(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._stop_head_timer()
        self.registry.begin(self)
        seconds = self.registry.limits.head_seconds
        self._head_timer = self.loop.call_later(seconds, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _forget(self) -> None:
        self._stop_head_timer()
        self._stop_reader_timer()
        self.registry.end(self)

    def _end_waiting(self) -> None:
        """Note that nothing is waited for: a whole request is here, and what was sent is read."""
        if self._has_head() and not self.cycle.more_body and self._reader_timer is None:
            self.registry.end(self)

    def _head_is_late(self) -> None:
        self.registry.closed += 1
        if self.conn.trailing_data[0]:
            self._refuse(408)
        else:
            self.transport.close()
            self._abort_unless_read()

    def _reader_is_late(self) -> None:
        self.registry.closed += 1
        self.drop()

    def _abort_unless_read(self) -> None:
        """Do not wait for ever for a client to read the last of what it was sent."""
        if self.transport.get_write_buffer_size():
            self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        self._stop_reader_timer()
        self.registry.begin(self)
        seconds = self.registry.limits.pause_seconds
        self._reader_timer = self.loop.call_later(seconds, self._reader_is_late)

    def _refuse(self, status: int) -> None:
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self.transport.is_closing():
            self.transport.abort()
            return
        if self.cycle is not None:  # nobody answers this one any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = problem_bytes(status, _WORDS[status])
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        answer = h11.Response(status_code=status, headers=headers, reason=b"")
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        if status == HTTPStatus.REQUEST_TIMEOUT or not self.transport.can_write_eof():
            self.transport.close()
            self._abort_unless_read()
        else:
            self._linger()

    def _linger(self) -> None:
        """Say that nothing more comes, and read on for a while; the other side closes."""
        self._is_refused = True
        self._stop_head_timer()
        self.registry.begin(self)  # it makes room when there is need
        self.transport.write_eof()
        self.transport.resume_reading()
        self._head_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)


def protocol_for(registry: Connections) -> type[PatientProtocol]:
    """Return the protocol of one server."""
    return type("Protocol", (PatientProtocol,), {"registry": registry})
