"""Every error in one shape: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import Send

MEDIA_TYPE = "application/problem+json"

RETRY_SECONDS = 1
"""When to come again after a 503: a full queue is worked off within about a second."""


class Problem(Exception):
    """A request that is not answered as asked.

    Parameters
    ----------
    status
        The HTTP status.
    detail
        What was expected, what was found, what to do.
    headers
        Of the answer.
    more
        Further members of the problem.
    """

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers.setdefault("retry-after", str(RETRY_SECONDS))
        self.body = problem_bytes(status, detail, **more)

    def response(self) -> Response:
        """Return the answer."""
        return Response(self.body, self.status, self.headers, MEDIA_TYPE)

    async def answer(self, send: Send, *, close: bool = False) -> None:
        """Send the answer; ``close`` when some of the request was not read.

        What was not read must not be taken for the next request.
        """
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(self.body)),
            **self.headers,
            **({"connection": "close"} if close else {}),
        }
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": self.body})


def problem_bytes(status: int, detail: str, **more: Any) -> bytes:
    """Return a problem as JSON; its type is ``about:blank``: the status says the kind."""
    told = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    text = json.dumps(told | {"detail": detail} | more, ensure_ascii=False)
    return text.encode("utf-8", "replace")
