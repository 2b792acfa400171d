"""A server from start to end: what it is made of, and in which order that begins and stops."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn

from pegboard.serve import api
from pegboard.serve.access import access_for
from pegboard.serve.app import build_app
from pegboard.serve.connections import Connections, protocol_for
from pegboard.serve.drift import Drift
from pegboard.serve.engine import Engine
from pegboard.serve.explain import Explainer
from pegboard.serve.feedback import Feedback
from pegboard.serve.gate import Gate
from pegboard.serve.limits import Limits
from pegboard.serve.logs import LibraryMessages, Log
from pegboard.serve.measures import Measures
from pegboard.serve.models import Model, Models
from pegboard.serve.site import Site
from pegboard.tallies import Answered
from pegboard.web import LOOPBACK, listen

Handler = Callable[[int, FrameType | None], None]

GRACE = 30
"""Seconds that requests in progress are given when the server stops."""

SWITCH_SECONDS = 0.0005
"""After which a thread that runs Python lets another have its turn. A network's thread that comes
back from ONNX Runtime waits that long at most, a tenth of Python's own 5 ms: with 16 clients 2 %
more photos were answered (10 turns, 2 cores of an AMD EPYC)."""


@dataclass(frozen=True)
class Settings:
    """How a bundle is served.

    Attributes
    ----------
    host, port
        Where to listen; port 0 for one that is free.
    names
        Host names to answer to, besides addresses and localhost.
    key
        The API key; None for none.
    is_https
        Whether a proxy before it speaks HTTPS with the browsers; cookies are then for HTTPS alone.
    threads
        CPU threads; None for as many as there are cores.
    feedback
        Folder for corrections; None to take none.
    drift
        File in which counts outlive the server; None for none.
    limits
        What is taken on.
    """

    host: str = LOOPBACK
    port: int = 8000
    names: Sequence[str] = ()
    key: str | None = field(default=None, repr=False)
    is_https: bool = False
    threads: int | None = None
    feedback: Path | None = None
    drift: Path | None = None
    limits: Limits = field(default_factory=Limits)


class ModelServer:
    """A bundle behind HTTP.

    Parameters
    ----------
    bundle
        The file; the model changes when it does.
    settings
        How it is served.
    log
        Where events go; standard error by default.

    Raises
    ------
    PegboardError
        When the bundle cannot be used, or the port is taken.
    """

    def __init__(
        self, bundle: Path, settings: Settings | None = None, log: Log | None = None
    ) -> None:
        settings = settings or Settings()
        limits = settings.limits.within_open_files()
        self._log = log or Log()
        self._measures = Measures()
        self._drift = Drift(settings.drift)
        feedback = None
        if settings.feedback is not None:
            feedback = Feedback(settings.feedback, limits.pixels)
        self._models = Models(bundle, self._told)
        self._socket = listen(settings.port, settings.host)
        self._engine = Engine(
            most=limits.queue,
            pixels=limits.pixels,
            threads=settings.threads,
            observer=self._observe,
        )
        self._explainer = Explainer(limits.pixels, settings.threads)
        access = access_for(
            settings.host,
            settings.names,
            settings.key,
            is_https=settings.is_https,
            port=self._socket.getsockname()[1],
        )
        service = api.Service(self._models, self._engine, self._explainer, limits, self._measures)
        connections = Connections(limits)
        site = Site(service, access, self._drift, feedback)
        routers = api.routes(service), site.router()
        app = build_app(*routers, needs_key=access.key is not None)
        gate = Gate(app, access, limits, self._measures, self._log)
        self._measures.tell_model(self._models.current())
        self._measures.watch(
            in_progress=lambda: gate.in_progress,
            waiting=lambda: self._engine.waiting,
            held=lambda: gate.held,
            stalled=lambda: connections.closed,
        )
        config = uvicorn.Config(
            gate,
            http=protocol_for(connections),
            loop="asyncio",  # its reads are bounded
            h11_max_incomplete_event_size=limits.head_bytes,
            access_log=False,
            log_config=None,
            lifespan="off",
            ws="none",
            # Who asks is known from the connection, never from a header.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE,
        )
        self._server = _Server(config, self._models.ask_to_reload)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        host, port = self._socket.getsockname()[:2]
        shown = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"

    @property
    def models(self) -> Models:
        """The model that answers, and its file."""
        return self._models

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until a signal or :meth:`stop`, then answer what was taken, then return."""
        with self._server.signals(), _library_messages(self._log), _short_turns():
            model = self._models.current()
            self._log.tell("started", address=self.address, model=model.name, sha256=model.sha256)
            self._models.watch()
            self._drift.keep()
            # The socket listens already: whoever connects is answered as soon as the server runs.
            ready()
            try:
                self._server.run(sockets=[self._socket])
            finally:
                self._models.close()
                self._engine.close()
                self._explainer.close()
                self._drift.close()
                self._log.tell("stopped")

    def stop(self) -> None:
        """Stop serving, from another thread."""
        self._server.should_exit = True

    def _told(self, outcome: str, model: Model | None, why: str) -> None:
        self._measures.reloads.labels(outcome).inc()
        if model is not None and outcome == "loaded":
            self._measures.tell_model(model)
        told = {"model": model.name, "sha256": model.sha256} if model else {}
        problem = {"problem": why} if why else {}
        level = "error" if outcome == "failed" else "info"
        self._log.tell("reload", level, outcome=outcome, **told, **problem)

    def _observe(self, model: Model, answered: Sequence[Answered]) -> None:
        self._measures.batches.observe(len(answered))
        self._drift.note(model, answered)
        for one in answered:
            self._measures.photos.labels(one.row.decision or "error").inc()


class _Server(uvicorn.Server):
    """Ends by itself on a signal; uvicorn's would end the process with that signal."""

    def __init__(self, config: uvicorn.Config, reload: Callable[[], None]) -> None:
        super().__init__(config)
        self._reload = reload

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: signals are handled for longer than uvicorn would."""
        yield

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Handle signals in the main thread, until everything has ended."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Handler] = {
            signal.SIGINT: self.handle_exit,
            signal.SIGTERM: self.handle_exit,
        }
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._hang_up
        if hasattr(signal, "SIGBREAK"):
            handlers[signal.SIGBREAK] = self.handle_exit
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        self._reload()


@contextmanager
def _short_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _library_messages(log: Log) -> Iterator[None]:
    """Hand what libraries log on to our log; what they only warn of was some client's doing."""
    handler = LibraryMessages(log)
    loggers = [logging.getLogger(name) for name in ("uvicorn", "asyncio", "python_multipart")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            with suppress(ValueError):
                logger.removeHandler(handler)
            logger.propagate = True
