"""What a server takes on, and where it says no."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from pegboard.errors import PegboardError

_OTHER_FILES = 64
"""Files and sockets a server has open besides connections."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one server; nothing it holds grows beyond them.

    Attributes
    ----------
    body_bytes
        Of one request.
    all_bytes
        Of all requests that are being received or answered.
    photos
        Of one request.
    pixels
        Of one photo.
    seconds
        From a request's last byte to its answer.
    queue
        Photos that are waited for, of all requests together.
    connections
        Open at once; when one more comes, the one that has stalled longest is closed.
    head_seconds
        For a request's first line and headers, and between two requests.
    pause_seconds, body_seconds
        For the next bytes of a request's body, and for all of it. A client that reads nothing of
        its answer is waited for as long as for its next bytes.
    head_bytes
        Of a request's first line and headers.
    """

    body_bytes: int = 20 << 20
    all_bytes: int = 256 << 20
    photos: int = 32
    pixels: int = 50_000_000
    seconds: float = 30.0
    queue: int = 256
    connections: int = 4096
    head_seconds: float = 10.0
    pause_seconds: float = 10.0
    body_seconds: float = 60.0
    head_bytes: int = 16 << 10

    def __post_init__(self) -> None:
        """Raise PegboardError when no request could ever be answered."""
        for name, value in vars(self).items():
            if value <= 0:
                raise PegboardError(f"{name.replace('_', ' ')}: expected more than 0, got {value}")
        if self.queue < self.photos:
            raise PegboardError(
                f"--queue {self.queue} is shorter than the {self.photos} photos that one request "
                "may hold (--max-photos)"
            )
        if self.all_bytes < self.body_bytes:
            raise PegboardError(
                f"one request may hold {self.body_bytes:,} bytes, which is more than the "
                f"{self.all_bytes:,} bytes that all may hold together; lower --max-upload"
            )

    def within_open_files(self) -> Limits:
        """Return the limits with no more connections than this process may have files open.

        The process first allows itself as many as the system lets it.
        """
        with suppress(ImportError, ValueError, OSError):
            import resource  # noqa: PLC0415  (not on Windows, where sockets are not counted)

            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            wanted = self.connections + _OTHER_FILES
            if soft != resource.RLIM_INFINITY and soft < wanted:
                most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
                return replace(self, connections=min(self.connections, most - _OTHER_FILES))
        return self
