"""One line of JSON per event on standard error: never a photo, a file's name or who asked."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Any, TextIO


class Log:
    """Writes events; safe to use from several threads."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def tell(self, event: str, level: str = "info", **fields: Any) -> None:
        """Write one event. An output that is gone stops no server."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "level": level, "event": event} | fields, default=str)
        with self._lock:
            try:
                stream = self._stream or sys.stderr
                stream.write(line + "\n")
                stream.flush()
            except (OSError, ValueError):
                return


class Silent(Log):
    """Writes nothing."""

    def tell(self, event: str, level: str = "info", **fields: Any) -> None:
        """Do nothing."""


class LibraryMessages(logging.Handler):
    """Hands what libraries log on to ours."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write it as one line; a traceback in full, as it is about code and not about photos."""
        told: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            told["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._log.tell("library", record.levelname.lower(), **told)
