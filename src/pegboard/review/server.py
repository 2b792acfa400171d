"""Serving the page on the loopback interface, until Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn

from pegboard.review.app import build_app
from pegboard.review.guard import Access
from pegboard.review.session import Review
from pegboard.web import listen

GRACE = 2
"""Seconds that a request in progress is given when the server stops."""


class ReviewServer:
    """The page of one review, on a port of the loopback interface and nowhere else.

    Parameters
    ----------
    review
        What is gone through.
    port
        0 for one that is free.
    commands
        What to do afterwards, for the last page.

    Raises
    ------
    PegboardError
        When the port is taken.
    """

    def __init__(self, review: Review, port: int = 0, commands: Sequence[str] = ()) -> None:
        self._socket = listen(port)
        self.access = Access(self._socket.getsockname()[1])
        config = uvicorn.Config(
            build_app(review, self.access, commands),
            access_log=False,
            log_level="error",
            lifespan="off",
            # uvicorn would take another reader of requests where one is installed.
            http="h11",
            ws="none",
            # Who asks is known from the connection, never from a header.
            proxy_headers=False,
            server_header=False,
            limit_concurrency=64,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE,
        )
        self._server = uvicorn.Server(config)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return self.access.address

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Serve until Ctrl-C or :meth:`stop`; ``ready`` is called once it answers."""
        if ready is not None:
            threading.Thread(target=self._tell, args=(ready,), daemon=True).start()
        # uvicorn stops in order, and then raises the signal again for whoever runs it.
        with suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])

    def _tell(self, ready: Callable[[], None]) -> None:
        # The socket listens already: whoever connects is answered as soon as the server runs.
        ready()

    def stop(self) -> None:
        """Stop serving, from another thread."""
        self._server.should_exit = True
