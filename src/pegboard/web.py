"""What the local pages share: a socket, headers that forbid what no page needs, templates."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pegboard.errors import PegboardError

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.types import Message, Receive, Scope, Send

LOOPBACK = "127.0.0.1"

BACKLOG = 2048
"""Connections that may wait to be accepted; the system may allow fewer."""

POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # Not no-referrer: a browser would then send the origin "null" with forms.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


# --- where a server listens ---------------------------------------------------------------


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """Return a socket that listens; port 0 means one that is free.

    Raises
    ------
    PegboardError
        When the address is not this machine's, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise PegboardError(
            f"--host {host}: expected an address or a name of this machine ({error.strerror})"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        _reuse(listener)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PegboardError(
            f"--port {port} cannot be used on {host} ({error.strerror}); name another, or 0 for "
            "one that is free"
        ) from error
    return listener


def _reuse(listener: socket.socket) -> None:
    # Elsewhere a server that was just stopped would keep the port for a minute; on Windows the
    # option would let two servers share it.
    if os.name != "nt":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def is_loopback(host: str) -> bool:
    """Whether an address or name is reached from this machine alone."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def open_browser(address: str) -> None:
    """Open a page in the user's browser, where there is one."""
    with suppress(Exception):  # a browser that cannot be started must not end the server
        webbrowser.open(address)


# --- requests and answers -----------------------------------------------------------------


class RequestHeaders:
    """A request's headers."""

    def __init__(self, scope: Scope) -> None:
        self._pairs = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]]

    def only(self, name: str) -> str:
        """Return a header that is there once, else "" ("?" for one that is there twice)."""
        values = [value for key, value in self._pairs if key == name]
        return values[0] if len(values) == 1 else "?" if values else ""

    def all(self, name: str) -> str:
        """Return all values of a header in one."""
        return "; ".join(value for key, value in self._pairs if key == name)


def with_headers(send: Send, headers: Mapping[str, str] = HEADERS) -> Send:
    """Return what sends an answer with these headers, not to be kept unless it says so."""
    own = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            added = [(name, value) for name, value in own if name not in names]
            if b"cache-control" not in names:
                added.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*given, *added]}
        await send(message)

    return guarded


def replay(body: bytes, receive: Receive) -> Receive:
    """Return what hands a body on once, and then what happens next."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


# --- pages --------------------------------------------------------------------------------


def rendered(package: str, template: str, page: Any) -> str:
    """Return a page of a package's ``templates``, filled with the fields of a dataclass.

    Every text is escaped, whatever a file or a class is called.
    """
    values = {field.name: getattr(page, field.name) for field in fields(page)}
    text = _environment(package).get_template(template).render(values)
    # A file's name need not be Unicode, but a page must.
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


@cache
def _environment(package: str) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def style(package: str, name: str) -> str:
    """Return the report's stylesheet, and what only this package's pages need."""
    report = files("pegboard.report").joinpath("templates/style.css").read_text("utf-8")
    return report + static(package, name)


@cache
def static(package: str, name: str) -> str:
    """Return one of a package's files for browsers."""
    return files(package).joinpath("static").joinpath(name).read_text("utf-8")
