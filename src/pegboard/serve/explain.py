"""Where the model looked, for one photo at a time: fifty answers must not delay all others."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pegboard.photos import Pixels
from pegboard.pictures import encode
from pegboard.predict import Predictor
from pegboard.serve.engine import QueueFull
from pegboard.serve.models import Model
from pegboard.threads import default_threads

MOST_WAITING = 8


class Explainer:
    """Draws where a model looked, one photo after the other.

    Parameters
    ----------
    pixels
        Most pixels of a photo.
    threads
        Among which the answers for one photo are divided; None for as many as there are cores.
    """

    def __init__(self, pixels: int, threads: int | None = None) -> None:
        self._pixels = pixels
        self._threads = threads or default_threads()
        self._pool = ThreadPoolExecutor(1, "explain")
        self._answers = ThreadPoolExecutor(self._threads, "occlusion")
        self._room = threading.Semaphore(MOST_WAITING)

    def submit(self, model: Model, payload: bytes, label: str | None) -> Future[bytes]:
        """Return the picture to come, WebP.

        Its future raises UnusableImage for what is no photo, InputError for what is no class.

        Raises
        ------
        QueueFull
            When enough photos are waited for.
        """
        if not self._room.acquire(blocking=False):
            raise QueueFull
        drawn = self._pool.submit(self._draw, model, payload, label)
        drawn.add_done_callback(lambda _: self._room.release())
        return drawn

    def close(self) -> None:
        """Finish what was taken."""
        self._pool.shutdown(wait=True)
        self._answers.shutdown(wait=True)

    def _draw(self, model: Model, payload: bytes, label: str | None) -> bytes:
        predictor = model.predictor
        picture = predictor.where_it_looked(
            payload,
            label,
            max_pixels=self._pixels,
            answer=lambda photos: self._divided(predictor, photos),
        )
        return encode(picture)

    def _divided(self, predictor: Predictor, photos: Pixels) -> NDArray[np.float32]:
        parts = np.array_split(photos, self._threads)
        return np.concatenate(list(self._answers.map(predictor.probabilities, parts)))
