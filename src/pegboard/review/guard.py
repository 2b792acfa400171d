"""Who may ask: only pages that this very server gave to the browser it was opened in.

A server on the loopback interface can be reached by every page that the user's browser shows.
So a request must name this server as its host (a name that another site points to 127.0.0.1, as
in DNS rebinding, is refused), carry the session's cookie (which the browser keeps from other
sites' requests), and to change anything come from this origin and carry the session's token.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from pegboard.web import RequestHeaders, replay, with_headers

MOST_BYTES = 64 * 1024
"""Of what a page sends: a bulk decision about some hundred photos has 2 KB."""


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Access:
    """The secrets of one session.

    Attributes
    ----------
    port
        Where the server listens, on the loopback interface.
    key
        In the address that is opened; whoever has it gets the cookie.
    ticket
        Value of the cookie.
    token
        In every form of a page.
    """

    port: int
    key: str = field(default_factory=_secret, repr=False)
    ticket: str = field(default_factory=_secret, repr=False)
    token: str = field(default_factory=_secret, repr=False)

    @property
    def cookie(self) -> str:
        """Name of the cookie; browsers do not tell ports apart."""
        return f"pegboard-review-{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """What a request may call this server."""
        return frozenset((f"127.0.0.1:{self.port}", f"localhost:{self.port}"))

    @property
    def address(self) -> str:
        """The address to open."""
        return f"http://127.0.0.1:{self.port}/?key={self.key}"

    def admits(self, key: str) -> bool:
        """Whether this is the key."""
        return secrets.compare_digest(key.encode(), self.key.encode())

    def knows(self, cookies: str) -> bool:
        """Whether a Cookie header holds the session's ticket."""
        try:
            morsel = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            return False
        return morsel is not None and secrets.compare_digest(
            morsel.value.encode(), self.ticket.encode()
        )

    def trusts(self, token: str) -> bool:
        """Whether a form is one of ours."""
        return secrets.compare_digest(token.encode(), self.token.encode())


class Guard:
    """Refuses every request that does not come from this session's own pages."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 4xx, or hand the request on; every answer gets the headers."""
        if scope["type"] != "http":
            return  # no web sockets, and nothing to start or stop
        guarded = with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(guarded, *refusal)
            return
        body = await _body(receive) if scope["method"] == "POST" else b""
        if body is None:
            await _answer(guarded, 413, f"more than {MOST_BYTES} bytes were sent")
            return
        await self._app(scope, replay(body, receive), guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = RequestHeaders(scope)
        host = headers.only("host")
        if host not in self._access.hosts:
            return 403, "this server answers to 127.0.0.1 and localhost only"
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "only GET and POST are answered here"
        if not (self._access.knows(headers.all("cookie")) or self._enters(scope)):
            return 403, "open the address that pegboard review printed in the terminal"
        return self._refusal_to_change(headers, host) if scope["method"] == "POST" else None

    def _enters(self, scope: Scope) -> bool:
        if scope["method"] != "GET" or scope["path"] != "/":
            return False
        keys = parse_qs(scope["query_string"].decode("latin-1")).get("key", [])
        return len(keys) == 1 and self._access.admits(keys[0])

    @staticmethod
    def _refusal_to_change(headers: RequestHeaders, host: str) -> tuple[int, str] | None:
        if headers.only("origin") != f"http://{host}":
            return 403, "the request does not come from a page of this server"
        if headers.only("sec-fetch-site") not in ("", "same-origin"):
            return 403, "the request comes from another site"
        kind = headers.only("content-type").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return 415, "expected a form"
        return None


async def _body(receive: Receive) -> bytes | None:
    """Return what is sent, or None when it is too much."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts += message.get("body", b"")
        if len(parts) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(parts)


async def _answer(send: Send, status: int, text: str) -> None:
    data = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(data)).encode()),
        # What of the request was not read must not be taken for the next one.
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
