"""Photos with findings about them, a review of these, and its server, for tests."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np

from conftest import SHAPES, draw_photo
from pegboard.audit.findings import Finding, write_findings
from pegboard.review.opening import Opened, open_review
from pegboard.review.server import ReviewServer

SUSPECTS = 6


def write_photos(root: Path, per_class: int = 8) -> Path:
    """Class folders of drawn shapes; the first photos of ``disc`` are squares in truth."""
    rng = np.random.default_rng(3)
    for name in SHAPES:
        (root / name).mkdir(parents=True)
        for index in range(per_class):
            drawn = "square" if name == "disc" and index < SUSPECTS else name
            image = draw_photo(drawn, rng)
            exif = image.getexif()
            exif[0x010F] = "SECRET-CAMERA"
            image.save(root / name / f"{index:03d}.jpg", exif=exif)
    return root


def suspects(count: int = SUSPECTS) -> list[Finding]:
    return [
        Finding(
            f"disc/{index:03d}.jpg",
            "label-suspect",
            "warning",
            round(0.98 - 0.03 * index, 2),
            "square",
            explanation="a probe says square",
        )
        for index in range(count)
    ]


PAIR = Finding("cross/000.jpg", "near-duplicate", "warning", 0.9, "", "cross/001.jpg", "resized")
NOTED = Finding("square/003.jpg", "label-suspect", "info", 0.2, "disc")


def open_folder(
    folder: Path, findings: Sequence[Finding] = (*suspects(), PAIR, NOTED), reviewer: str = "ann"
) -> Opened:
    """A review of ``folder/photos``, whose findings lie in ``folder/found``."""
    photos, found = folder / "photos", folder / "found"
    if not photos.exists():
        write_photos(photos)
    if not found.exists():
        found.mkdir()
        write_findings(found / "findings.csv", findings)
    return open_review(str(photos), findings=found, reviewer=reviewer)


@contextmanager
def serving(opened: Opened) -> Iterator[ReviewServer]:
    """The real server, in a thread, on a free port of the loopback interface."""
    server = ReviewServer(opened.review, commands=opened.next_commands)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(20)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Client:
    """A browser in small: one cookie, no redirects, headers as told."""

    address: str
    cookie: str = ""
    token: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> Answer:
        """Send one request; a header given as None is left out, ``_`` stands for ``-``."""
        sent: dict[str, str | None] = {"host": self.host, "cookie": self.cookie or None}
        if body is not None:
            sent |= {
                "origin": f"http://{self.host}",
                "content-type": "application/x-www-form-urlencoded",
            }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(
            "127.0.0.1", urlsplit(self.address).port, timeout=20
        )
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, data)

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.ask("GET", path, **headers)

    def post(
        self, path: str, fields: dict[str, object] | None = None, **headers: str | None
    ) -> Answer:
        data = {"token": self.token, **(fields or {})}
        return self.ask("POST", path, urlencode(data, doseq=True).encode(), **headers)


def enter(address: str) -> Client:
    """Come in as the browser does: with the key, for the cookie; then to the first page."""
    client = Client(address)
    answer = _patiently(lambda: client.get("/?" + urlsplit(address).query))
    client.cookie = answer.headers["set-cookie"].partition(";")[0]
    page = client.get(client.get("/").headers["location"]).text
    client.token = page.partition('name="token" value="')[2].partition('"')[0]
    return client


def _patiently(ask):  # type: ignore[no-untyped-def]
    for _ in range(100):
        try:
            return ask()
        except ConnectionError:
            time.sleep(0.1)
    return ask()
