"""Every request passes here: host, key, size and time; its count and its line in the log."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pegboard.serve.access import Access
from pegboard.serve.limits import Limits
from pegboard.serve.logs import Log
from pegboard.serve.measures import Measures
from pegboard.serve.problems import Problem
from pegboard.web import HEADERS, RequestHeaders, replay, with_headers

OPEN = frozenset(("/healthz", "/readyz"))
"""Paths for those who watch over servers: they answer to any host and without the key."""

WITHOUT_KEY = OPEN | {"/", "/drift", "/enter", "/serve.css", "/serve.js", "/favicon.ico"}
"""The pages ask for the key themselves."""

PAGE_HEADERS: Mapping[str, str] = {
    **HEADERS,
    "content-security-policy": HEADERS["content-security-policy"].replace(
        "img-src 'self'", "img-src 'self' blob:"
    ),
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
}

_LINGER_BYTES = 64 << 20
_LINGER_SECONDS = 5.0
"""What is still read of a request that was refused, so that its sender gets to read why."""


class Gone(Exception):
    """The client has left."""


class Gate:
    """Refuses, reads, counts and logs; the application behind it gets whole requests."""

    def __init__(
        self, app: ASGIApp, access: Access, limits: Limits, measures: Measures, log: Log
    ) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._measures = measures
        self._log = log
        self._held = 0
        self._in_progress = 0

    @property
    def held(self) -> int:
        """Bytes of requests that are being received or answered."""
        return self._held

    @property
    def in_progress(self) -> int:
        """Requests that are being answered."""
        return self._in_progress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return  # no web sockets, and nothing to start or stop
        told = _Told(with_headers(send, PAGE_HEADERS))
        self._in_progress += 1
        try:
            await self._answer(scope, receive, told)
        except Gone:
            pass
        finally:
            self._in_progress -= 1
            self._count(scope, told)

    async def _answer(self, scope: Scope, receive: Receive, told: _Told) -> None:
        incoming = _Incoming(receive)
        try:
            self._check(scope)
            body = await self._read(incoming)
        except Problem as problem:
            if problem.status != HTTPStatus.REQUEST_TIMEOUT:
                await _linger(scope, incoming)
            await problem.answer(told, close=True)
            return
        told.received = len(body)
        try:
            await self._app(scope, replay(body, receive), told)
        except Exception:  # a defect of ours: told to the log, not to the client
            self._log.tell("defect", "error", id=told.id, traceback=traceback.format_exc())
        finally:
            self._held -= len(body)

    def _check(self, scope: Scope) -> None:
        # h11 bounds what it waits for; a head that comes in one piece is bounded here.
        if _head_bytes(scope) > self._limits.head_bytes:
            raise Problem(431, "the request's first line and headers are too long")
        headers = RequestHeaders(scope)
        path = scope["path"]
        if path not in OPEN and not self._access.answers_to(headers.only("host")):
            raise Problem(
                421,
                "this server answers to addresses and to localhost; have it answer to another "
                "name with --allow-host NAME",
            )
        if path not in WITHOUT_KEY and not self._access.knows(headers):
            raise Problem(
                401,
                "expected the API key, as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
                {"www-authenticate": "Bearer"},
            )
        if scope["method"] not in _SAFE and self._access.is_from_elsewhere(headers):
            raise Problem(403, "pages of other sites cannot have this server work for them")
        length = headers.only("content-length")
        if length.isdecimal() and int(length[:20]) > self._limits.body_bytes:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(413, f"a request may hold {self._limits.body_bytes:,} bytes")

    async def _read(self, incoming: _Incoming) -> bytes:
        """Return the body, if it comes in time; what all requests hold counts every byte."""
        limits = self._limits
        ends = time.monotonic() + limits.body_seconds
        parts: list[bytes] = []
        held = 0
        try:
            while not incoming.is_whole:
                part = await incoming.next(min(limits.pause_seconds, ends - time.monotonic()))
                if held + len(part) > limits.body_bytes:
                    raise self._too_large()
                if self._held + len(part) > limits.all_bytes:
                    raise Problem(503, "too much is being sent at the same time; try again")
                held += len(part)
                self._held += len(part)
                parts.append(part)
            return b"".join(parts)
        except BaseException:
            self._held -= held
            raise

    def _count(self, scope: Scope, told: _Told) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = told.status or 499
        seconds = time.monotonic() - told.started
        self._measures.requests.labels(route, method, str(status)).inc()
        self._measures.seconds.labels(route).observe(seconds)
        self._log.tell(
            "request",
            "error" if status == 500 else "info",
            id=told.id,
            method=method,
            route=route,
            status=status,
            milliseconds=round(1000 * seconds, 1),
            bytes=told.received,
        )


def _head_bytes(scope: Scope) -> int:
    line = len(scope["raw_path"]) + len(scope["query_string"])
    return line + sum(len(name) + len(value) for name, value in scope["headers"])


_PROCESS, _NUMBERS = secrets.token_hex(4), itertools.count(1)
"""Of which a request's name is made: random bytes for each would cost a tenth of its time."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


_SAFE = frozenset(("GET", "HEAD"))


class _Told:
    """Sends an answer on, and remembers what it was."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.id = f"{_PROCESS}-{next(_NUMBERS)}"
        self.started = time.monotonic()
        self.status: int | None = None
        self.received = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            named = (b"x-request-id", self.id.encode())
            message = {**message, "headers": [*message.get("headers", ()), named]}
        await self._send(message)


class _Incoming:
    """A request's body, part by part."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_whole = False

    async def next(self, seconds: float) -> bytes:
        """Return the next bytes, if they come within some seconds.

        Raises
        ------
        Problem
            408 when they do not.
        Gone
            When the client has left.
        """
        try:
            async with asyncio.timeout(max(seconds, 0)):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(408, "the request's body did not come within the time allowed") from error
        if message["type"] != "http.request":
            raise Gone
        self.is_whole = not message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


async def _linger(scope: Scope, incoming: _Incoming) -> None:
    """Read on for a while: to close while somebody sends would lose them the answer."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # it waits to be told before it sends anything
    ends, left = time.monotonic() + _LINGER_SECONDS, _LINGER_BYTES
    with suppress(Problem):
        while left > 0 and not incoming.is_whole:
            left -= len(await incoming.next(ends - time.monotonic()))
