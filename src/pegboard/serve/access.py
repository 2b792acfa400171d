"""Who may ask: hosts, the API key, and which requests come from our own page.

A server on the loopback interface can be reached by every page that the user's browser shows. A
name that another site points to this machine (DNS rebinding) is told by the Host header: only
addresses, ``localhost`` and the names that were given are answered. An address cannot be pointed
elsewhere.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import cookie_parser

from pegboard.errors import PegboardError
from pegboard.web import RequestHeaders, is_loopback

KEY_VARIABLE = "PEGBOARD_API_KEY"
LEAST_KEY = 16
COOKIE = "pegboard-serve"
HTTPS_COOKIE = f"__Host-{COOKIE}"
"""Browsers take this name over HTTPS only, and from this host alone (RFC 6265bis, 4.1.3.2)."""

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::\d{1,5})?")


def find_key(file: Path | None) -> str | None:
    """Return the key in a file, or in the environment; None when there is none.

    Raises
    ------
    PegboardError
        When the file cannot be read, or the key is short.
    """
    if file is None:
        key, where = os.environ.get(KEY_VARIABLE, ""), KEY_VARIABLE
        if not key:
            return None
    else:
        where = f"--api-key-file {file}"
        try:
            key = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise PegboardError(f"{where} cannot be read: {error}") from error
    if len(key) < LEAST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise PegboardError(
            f"{where}: expected a key of at least {LEAST_KEY} letters, digits and signs; make one "
            "with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return key


@dataclass(frozen=True)
class Access:
    """What a request must carry.

    Attributes
    ----------
    host
        The address that is listened on.
    names
        Further host names that are this server's.
    key
        The API key; None when none is asked for.
    is_https
        Whether the pages are reached over HTTPS, by way of a proxy.
    port
        What is listened on: browsers send cookies to every port of a host.
    token
        In the page; a request that changes something must bring it back.
    """

    host: str
    names: frozenset[str] = frozenset()
    key: str | None = field(default=None, repr=False)
    is_https: bool = False
    port: int | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _ticket: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def ticket(self) -> str:
        """Value of the cookie of those who gave the key on the page."""
        return self._ticket

    @property
    def cookie(self) -> str:
        """Name of that cookie."""
        name = HTTPS_COOKIE if self.is_https else COOKIE
        return name if self.port is None else f"{name}-{self.port}"

    def answers_to(self, host: str) -> bool:
        """Whether a Host header names this server."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]").lower().rstrip(".")
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # Who listens on the loopback interface is not reached by any other address.
        return address.is_loopback or not is_loopback(self.host)

    def knows(self, headers: RequestHeaders) -> bool:
        """Whether a request carries the key, or the cookie of somebody who gave it."""
        if self.key is None:
            return True
        scheme, _, bearer = headers.only("authorization").partition(" ")
        if scheme.lower() == "bearer" and self.is_key(bearer.strip()):
            return True
        return self.is_key(headers.only("x-api-key")) or self._has_ticket(headers)

    def is_key(self, text: str) -> bool:
        """Whether this is the key; it takes as long whatever it is."""
        return self.key is not None and _same(text, self.key)

    def _has_ticket(self, headers: RequestHeaders) -> bool:
        # The standard library's parser drops all cookies when it dislikes one, of whichever server.
        cookies = cookie_parser(headers.all("cookie"))
        return _same(cookies.get(self.cookie, ""), self._ticket)

    def is_from_elsewhere(self, headers: RequestHeaders) -> bool:
        """Whether a browser says that a page of another site makes this request."""
        site = headers.only("sec-fetch-site")
        if site:
            return site not in ("same-origin", "none")
        origin = headers.only("origin")
        return origin != "" and urlsplit(origin).netloc != headers.only("host")

    def is_own_page(self, headers: RequestHeaders, token: str) -> bool:
        """Whether a request was made by a page of this server, opened from this server."""
        origin = urlsplit(headers.only("origin"))
        return (
            origin.netloc != ""
            and origin.netloc == headers.only("host")
            and (origin.scheme == "https" or not self.is_https)
            and headers.only("sec-fetch-site") in ("", "same-origin")
            and _same(token, self.token)
        )


def access_for(
    host: str,
    names: Iterable[str],
    key: str | None,
    *,
    is_https: bool = False,
    port: int | None = None,
) -> Access:
    """Return who may ask a server that listens on ``host``."""
    own = {name.lower().rstrip(".") for name in (*names, host)}
    return Access(host, frozenset(own), key, is_https, port)


def _same(one: str, other: str) -> bool:
    # Of hashes, so that not even the length shows.
    digests = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (one, other))
    return secrets.compare_digest(*digests)
