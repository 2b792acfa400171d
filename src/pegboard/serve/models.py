"""The bundle that answers, and its successor: read when its file changes, used once it answers."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pegboard.bundle import AT_ONCE, read_bundle
from pegboard.bundle.network import APART_VALUES
from pegboard.errors import BundleError, PegboardError
from pegboard.predict import Predictor

LOOK_SECONDS = 1.0
"""How often the file is looked at. It is read when two looks in a row find it the same."""

_TRIES = 3

Stamp = tuple[int, int, int]
"""Of a file: time of its last change, size, and which file it is."""


@dataclass(frozen=True)
class Model:
    """A bundle that answers.

    ``sha256`` is of the bundle's file, ``loaded`` a UTC time as text.
    """

    predictor: Predictor
    sha256: str
    loaded: str

    @property
    def name(self) -> str:
        """The model's name."""
        return self.predictor.info.name

    @property
    def batch(self) -> int:
        """Photos that one thread takes together at most: one where more gain nothing."""
        is_large = math.prod(self.predictor.info.input.shape) >= APART_VALUES
        return 1 if is_large else AT_ONCE


Tell = Callable[[str, Model | None, str], None]
"""What happened (``loaded``, ``unchanged``, ``failed``), the model, and why it failed."""


class Models:
    """The model of one file; it changes when the file does, between two requests.

    Parameters
    ----------
    path
        The bundle. Its network answers on one thread; several may ask it at the same time.
    tell
        Told of every attempt after the first.

    Raises
    ------
    BundleError
        When the file is not a whole bundle, or its network does not run.
    """

    def __init__(
        self,
        path: Path,
        tell: Tell = lambda outcome, model, why: None,
    ) -> None:
        self._path = path
        self._tell = tell
        self._read_at = self._looked_at = _stamp(path)
        self._model = self._load()
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._is_watching = True
        self._watcher: threading.Thread | None = None

    def current(self) -> Model:
        """Return the model that answers now."""
        return self._model

    def watch(self) -> None:
        """Look at the file every so often, in a thread, until :meth:`close`."""
        self._watcher = threading.Thread(target=self._keep_looking, name="watch", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """End looking at the file."""
        self._is_watching = False
        self._asked.set()
        if self._watcher is not None:
            self._watcher.join()

    def ask_to_reload(self) -> None:
        """Have the file read at the next look, changed or not. May be called by a signal."""
        self._read_at = None
        self._asked.set()

    def look(self) -> bool:
        """Read the file if it has changed and is at rest; return whether the model is another."""
        with self._lock:
            stamp = _stamp(self._path)
            is_at_rest, self._looked_at = stamp == self._looked_at, stamp
            if stamp is None or stamp == self._read_at or not is_at_rest:
                return False
            self._read_at = stamp
            return self._renew()

    def _renew(self) -> bool:
        try:
            model = self._load()
        except (PegboardError, MemoryError, OSError) as error:
            self._tell("failed", self._model, str(error) or "not enough memory")
            return False
        if model.sha256 == self._model.sha256:
            self._tell("unchanged", self._model, "")
            return False
        self._model = model
        self._tell("loaded", model, "")
        return True

    def _keep_looking(self) -> None:
        while self._is_watching:
            self._asked.wait(LOOK_SECONDS)
            self._asked.clear()
            if self._is_watching:
                self.look()

    def _load(self) -> Model:
        for _ in range(_TRIES):
            sha256 = _file_sha256(self._path)
            predictor = Predictor(read_bundle(self._path), threads=1)
            # Replaced meanwhile, the one file's model would go by the other one's name.
            if _file_sha256(self._path) == sha256:
                _warm_up(predictor)
                return Model(predictor, sha256, datetime.now(UTC).isoformat(timespec="seconds"))
        raise BundleError(f"{self._path} was replaced again and again while it was read")


def _warm_up(predictor: Predictor) -> None:
    """Answer once: setting the network up takes its time, and shows whether it runs."""
    try:
        predictor.probabilities(np.zeros((1, *predictor.info.input.shape), np.uint8))
    except PegboardError:
        raise
    except Exception as error:  # ONNX Runtime has a dozen classes and no common base
        raise BundleError(f"the network does not run: {str(error).splitlines()[0]}") from error


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
