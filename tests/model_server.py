"""A real server of a bundle, and a client that sends exactly what it is told, for tests."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from pegboard.serve.logs import Log
from pegboard.serve.server import ModelServer, Settings


@contextmanager
def serving(bundle: Path, log: Log | None = None, **settings: Any) -> Iterator[ModelServer]:
    """The real server, in a thread, on a free port of the loopback interface."""
    given = Settings(**({"port": 0, "threads": 1} | settings))
    server = ModelServer(bundle, given, log or Log(io.StringIO()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int) -> dict[str, Any]:
        """The body, after a check that it is a problem with this status (RFC 9457)."""
        assert self.status == status, (self.status, self.body[:300])
        assert self.headers["content-type"] == "application/problem+json"
        told = self.json
        assert {"type", "title", "status", "detail"} <= set(told)
        assert told["status"] == status
        assert "\n" not in told["detail"]
        assert "Traceback" not in self.body.decode()
        return told


class Client:
    """Asks a server; every request on a connection of its own unless one is given."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self.host, self.port = place.hostname, place.port
        self.netloc = place.netloc

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        used = connection or self.connect()
        try:
            used.request(method, path, body, headers or {})
            answer = used.getresponse()
            return Answer(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )
        finally:
            if connection is None:
                used.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, _named(headers))

    def post(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        return self.ask("POST", path, body, _named(headers))

    def send_photos(self, photos: Sequence[tuple[str, bytes]], path: str = "/v1/predict") -> Answer:
        body, kind = form([("photos", name, data) for name, data in photos])
        return self.post(path, body, content_type=kind)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def form(parts: Sequence[tuple[str, str | None, bytes]]) -> tuple[bytes, str]:
    """A multipart form: (field, file name or None, data); its body and its Content-Type."""
    boundary = "----pegboard-test"
    lines = []
    for field, name, data in parts:
        file = "" if name is None else f'; filename="{name}"'
        lines.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'.encode()
            + data
            + b"\r\n"
        )
    return b"".join(
        lines
    ) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def picture(
    colour: tuple[int, int, int] = (200, 20, 20),
    size: tuple[int, int] = (30, 40),
    kind: str = "PNG",
    **options: Any,
) -> bytes:
    """A photo's file: one colour with a little noise."""
    rng = np.random.default_rng(sum(colour))
    noise = rng.integers(-15, 16, (size[1], size[0], 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def many_pictures(count: int, seed: int = 0) -> list[bytes]:
    """Photos of random colours, none like another."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(20, 236, (count, 3))
    kinds = ("PNG", "JPEG", "WEBP")
    return [
        picture(tuple(int(value) for value in colour), kind=kinds[number % 3])
        for number, colour in enumerate(colours)
    ]
