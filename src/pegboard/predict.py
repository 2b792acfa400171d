"""Ask a bundle about photos: files, folders, bytes or pixels. Without PyTorch.

>>> predictor = Predictor.load("probe.pegboard")             # doctest: +SKIP
>>> predictor.predict([open("photo.jpg", "rb").read()])[0]   # doctest: +SKIP
Prediction(path=None, label='hammer', probability=0.98, ...)
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.bundle import Bundle, BundleInfo, Network, Sight, read_bundle, share_text
from pegboard.bundle.deciding import SURE, UNKNOWN, judged
from pegboard.calibrate import set_limit
from pegboard.errors import InputError, PegboardError, UnusableImage
from pegboard.images import MAX_PIXELS, image_bytes
from pegboard.inputs import fitted
from pegboard.occlusion import Answer, heat_overlay, occlusion_map
from pegboard.photo_files import STDIN, read_photo
from pegboard.photos import Pixels
from pegboard.reading import read_stream
from pegboard.rows import Candidate, Decision, Prediction
from pegboard.threads import default_threads

BATCH = 32
"""Photos decoded while the network works on as many before them."""

Payload = bytes | NDArray[np.uint8] | Image.Image
"""A photo: its file's bytes, ``(h, w)`` or ``(h, w, 1 or 3)`` uint8, or a Pillow image."""

Read = Callable[[], Payload]


class Seen(NamedTuple):
    """What a model made of one photo.

    Attributes
    ----------
    path
        As the user named the photo.
    probabilities
        ``(classes,)`` float32; empty with an error.
    strangeness
        How unlike all training photos it is; None where the model does not tell.
    error
        Why the photo could not be used.
    """

    path: str | None
    probabilities: NDArray[np.float32] = np.empty(0, np.float32)
    strangeness: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training photo like the one that was asked about.

    Attributes
    ----------
    path, label
        As in the run's manifest; its class.
    similarity
        Cosine of both photos' features, -1 to 1.
    picture
        A small picture of it, encoded (WebP), without anything its file said.
    """

    path: str
    label: str
    similarity: float
    picture: bytes


class Predictor:
    """A bundle, ready to answer.

    Safe to use from several threads.

    Parameters
    ----------
    bundle
        What :func:`pegboard.bundle.read_bundle` returned.
    threads
        CPU threads for decoding and for the network; None for as many as there are cores.
    sets
        Also tell, for each photo, the classes that are left open: for this share of photos like
        those of validation, the right one is among them (:func:`pegboard.calibrate.set_limits`).

    Raises
    ------
    PegboardError
        When a value is out of range, or the bundle is of an earlier format and tells no sets.
    """

    def __init__(
        self, bundle: Bundle, threads: int | None = None, sets: float | None = None
    ) -> None:
        if threads is not None and threads < 1:
            raise PegboardError(f"--threads: expected at least 1, got {threads}")
        self.sets = sets
        self._least = None if sets is None else _least_probability(bundle, sets)
        self.info: BundleInfo = bundle.info
        self._threads = threads
        self._likeness = bundle.likeness
        self._network: Bundle | Network = bundle
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls, path: str | Path, threads: int | None = None, sets: float | None = None
    ) -> Predictor:
        """Read and check a ``.pegboard`` file. The network is set up at the first question.

        Raises
        ------
        BundleError
            When the file is not a whole bundle of a format this version reads.
        """
        return cls(read_bundle(path), threads, sets)

    def predict(self, payloads: Sequence[Payload], top: int = 3) -> list[Prediction]:
        """Answer for photos given as file contents, pixels or Pillow images, in their order.

        A photo that cannot be used gets a row with ``error``.
        """
        reads = [(None, lambda payload=payload: payload) for payload in payloads]
        _check_top(top)
        if len(reads) == 1:  # no thread to start: the quickest way for one photo
            (seen,) = self._answer([None], [self._fit(reads[0][1])])
            return [self._prediction(seen, top)]
        return list(self.predict_items(reads, top))

    def predict_paths(
        self, paths: Iterable[str], top: int = 3, stdin: BinaryIO | None = None
    ) -> Iterator[Prediction]:
        """Answer for files, one after the other, in their order.

        Decoding runs ahead of the network by one batch, so memory is bounded however many
        files there are. A file that cannot be used gets a row with ``error``; the path ``-``
        stands for one image on ``stdin``.
        """
        source = stdin if stdin is not None else sys.stdin.buffer
        return self.predict_items(((path, _reader(path, source)) for path in paths), top)

    def probabilities(self, images: Pixels) -> NDArray[np.float32]:
        """Return ``(n, classes)`` float32 for fitted ``(n, height, width, channels)`` uint8."""
        return self._ready().probabilities(images)

    def strangeness(self, images: Pixels) -> NDArray[np.float64] | None:
        """Return ``(n,)`` how unlike all training photos each fitted photo is.

        None where the model does not tell: it was made by an earlier pegboard, or its network has
        no features. Above ``info.unknown_above`` a photo is unknown.
        """
        return self._looked(images)[1]

    def features(self, images: Pixels) -> NDArray[np.float32] | None:
        """Return ``(n, D)`` float32 features of fitted photos, if the network has them."""
        return self._ready().answers(images)[1]

    @property
    def has_neighbours(self) -> bool:
        """Whether training photos came with the model (``pegboard export --with-neighbours``)."""
        return self._likeness is not None and self._likeness.neighbours is not None

    def nearest(self, payload: Payload, count: int = 3) -> list[Neighbour]:
        """Return the training photos most like a photo, the likest first.

        An empty list where none came with the model (:attr:`has_neighbours`).

        Raises
        ------
        UnusableImage
            When the photo cannot be used.
        """
        likeness = self._likeness
        if likeness is None or likeness.neighbours is None:
            return []
        features = self.features(self.fitted(payload)[None])
        if features is None:
            return []
        near = likeness.neighbours
        (places,), (cosines,) = likeness.nearest(features, count)
        return [
            Neighbour(
                near.paths[place],
                self.info.classes[near.labels[place]],
                round(float(cosine), 4),
                near.pictures[place],
            )
            for place, cosine in zip(places, cosines, strict=True)
        ]

    def where_it_looked(
        self,
        payload: Payload,
        label: str | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
        answer: Answer | None = None,
    ) -> Pixels:
        """Return a photo with colours where a class's probability hangs on it.

        Asks the exported network 50 times (:mod:`pegboard.occlusion`).

        Parameters
        ----------
        payload
            The photo.
        label
            The class; by default the likeliest.
        max_pixels
            A file of a photo with more is refused before it is decoded.
        answer
            What asks the network, :meth:`probabilities` by default: to divide the work otherwise.

        Returns
        -------
        ``(H, W, 3)`` uint8: the photo as the model sees it, in grey under the colours.

        Raises
        ------
        UnusableImage
            When the photo cannot be used.
        InputError
            When the model knows no such class.
        """
        if label is not None and label not in self.info.classes:
            raise InputError(
                f"expected one of the classes {', '.join(self.info.classes)}, got {label[:80]!r}"
            )
        photo = self.fitted(payload, max_pixels)
        if label is None:
            place = int(self.probabilities(photo[None])[0].argmax())
        else:
            place = self.info.classes.index(label)
        return heat_overlay(photo, occlusion_map(answer or self.probabilities, photo, place))

    def fitted(self, payload: Payload, max_pixels: int = MAX_PIXELS) -> Pixels:
        """Return a photo as the model sees it, ``info.input.shape`` uint8.

        A file of a photo with more than ``max_pixels`` is refused before it is decoded.

        Raises
        ------
        UnusableImage
            When the photo cannot be used.
        """
        if isinstance(payload, Image.Image):
            payload = image_bytes(payload)
        return fitted(payload, self.info.input, max_pixels)

    def _ready(self) -> Network:
        with self._lock:
            if isinstance(self._network, Bundle):
                # The bundle is let go: its bytes are no longer needed.
                model, classes = self._network.model, len(self.info.classes)
                self._network = Network(model, self.info.input, classes, self._threads)
            return self._network

    def predict_items(
        self, items: Iterable[tuple[str | None, Read]], top: int = 3
    ) -> Iterator[Prediction]:
        """Answer for photos given as a name and a function that reads them, in their order.

        Reading and decoding run in threads, at most two batches ahead of what was answered.
        """
        _check_top(top)
        return self._stream(items, top)

    def _stream(self, items: Iterable[tuple[str | None, Read]], top: int) -> Iterator[Prediction]:
        for seen in self.seen(items):
            yield self._prediction(seen, top)

    def answers(
        self, items: Iterable[tuple[str | None, Read]]
    ) -> Iterator[tuple[str | None, NDArray[np.float32] | str]]:
        """Return each photo's name with its probabilities ``(classes,)``, or why it has none.

        Photos and order are those of :meth:`predict_items`.
        """
        for seen in self.seen(items):
            yield seen.path, seen.error if seen.error is not None else seen.probabilities

    def seen(self, items: Iterable[tuple[str | None, Read]]) -> Iterator[Seen]:
        """Return what the model made of each photo, with how strange it is.

        Photos and order are those of :meth:`predict_items`.
        """
        waiting: deque[tuple[list[str | None], list[Future[Pixels | str]]]] = deque()
        rest = iter(items)
        with ThreadPoolExecutor(self._threads or default_threads()) as pool:
            while batch := list(islice(rest, BATCH)):
                waiting.append(
                    (
                        [path for path, _ in batch],
                        [pool.submit(self._fit, read) for _, read in batch],
                    )
                )
                if len(waiting) > 1:
                    yield from self._collect(*waiting.popleft())
            while waiting:
                yield from self._collect(*waiting.popleft())

    def _collect(
        self, paths: Sequence[str | None], futures: Sequence[Future[Pixels | str]]
    ) -> Iterator[Seen]:
        return self._answer(paths, [future.result() for future in futures])

    def fit(self, payload: Payload, max_pixels: int = MAX_PIXELS) -> Pixels | str:
        """Return what the model sees of a photo, or why it sees nothing of it.

        A file of a photo with more than ``max_pixels`` is refused before it is decoded.
        """
        return self._fit(lambda: payload, max_pixels)

    def look(self, fitted: Sequence[Pixels | str]) -> list[Seen]:
        """Return what the model makes of what :meth:`fit` returned, in one batch and its order."""
        return list(self._answer([None] * len(fitted), fitted))

    def row(self, seen: Seen, top: int = 3) -> Prediction:
        """Return the answer about a photo that was looked at.

        Raises
        ------
        PegboardError
            When ``top`` is below 1.
        """
        _check_top(top)
        return self._prediction(seen, top)

    def _fit(self, read: Read, max_pixels: int = MAX_PIXELS) -> Pixels | str:
        """Return fitted pixels, or why there are none."""
        try:
            return self.fitted(read(), max_pixels)
        except UnusableImage as error:
            return str(error)
        except OSError as error:
            return f"unreadable: {error.strerror or error}"
        except MemoryError:
            return "too-large: there is not enough memory to decode it"

    def _answer(
        self, paths: Sequence[str | None], results: Sequence[Pixels | str]
    ) -> Iterator[Seen]:
        images = [result for result in results if not isinstance(result, str)]
        rows = iter(self._rows(np.stack(images)) if images else ())
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, str):
                yield Seen(path, error=result)
            else:
                probabilities, strangeness = next(rows)
                yield Seen(path, probabilities, strangeness)

    def _rows(self, images: Pixels) -> Iterator[tuple[NDArray[np.float32], float | None]]:
        probabilities, strangeness = self._looked(images)
        told = repeat(None) if strangeness is None else strangeness.tolist()
        return zip(probabilities, told, strict=False)

    def _looked(self, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        """Return probabilities and, where the model tells it, strangeness."""
        likeness = self._likeness
        if likeness is None:
            return self._ready().probabilities(images), None
        sight = Sight.of(self._ready(), images)
        return sight.probabilities, (
            None if sight.features is None else likeness.strangeness(sight)
        )

    def _prediction(self, seen: Seen, top: int) -> Prediction:
        if seen.error is not None:
            return Prediction(seen.path, error=seen.error)
        order = np.argsort(-seen.probabilities, kind="stable")[:top]
        candidates = tuple(
            Candidate(self.info.classes[index], float(seen.probabilities[index])) for index in order
        )
        best = candidates[0]
        decision, reason = self._decide(seen)
        return Prediction(
            seen.path,
            best.label,
            best.probability,
            candidates,
            decision,
            reason,
            classes=self._left_open(seen.probabilities),
        )

    def _left_open(self, probabilities: NDArray[np.float32]) -> tuple[str, ...] | None:
        """Return the classes that are probable enough, the likeliest first and always there."""
        if self._least is None:
            return None
        order = np.argsort(-probabilities, kind="stable")
        count = max(1, int((probabilities >= self._least).sum()))
        return tuple(self.info.classes[index] for index in order[:count])

    def _decide(self, seen: Seen) -> tuple[Decision, str | None]:
        strange = None if seen.strangeness is None else np.array([seen.strangeness])
        (kind,) = judged(self.info, seen.probabilities[None], strange)
        if kind == UNKNOWN and seen.strangeness is not None:
            return "unknown", self._why_unknown(seen.strangeness)
        return ("sure", None) if kind == SURE else ("unsure", self._why_unsure(seen))

    def _why_unknown(self, strangeness: float) -> str:
        share = 1 - float(self.info.unknown.get("share", 0.0))
        needed, found = _told_apart(self.info.unknown_above or 0.0, strangeness)
        return (
            f"unlike the photos it was trained on: strangeness {found} is above {needed}, "
            f"which {100 * share:g} % of validation photos do not exceed"
        )

    def _why_unsure(self, seen: Seen) -> str:
        sure, share = self.info.sure, share_text(self.info.thresholds.get("precision"))
        if sure is None:
            return f"validation photos showed no probability from which on {share} are right"
        found, needed = _told_apart(float(seen.probabilities.max()), sure)
        return f"probability {found} is below {needed}, from where on {share} are right"


def _least_probability(bundle: Bundle, coverage: float) -> float:
    limits = bundle.info.sets.get("least")
    if limits is None:
        raise PegboardError(
            f"--sets: {bundle.path} was made by an earlier pegboard and holds nothing to tell "
            "sets by; export it again from a new run"
        )
    return set_limit(limits, coverage)


def _check_top(top: int) -> None:
    if top < 1:
        raise PegboardError(f"--top: expected at least 1, got {top}")


def _told_apart(low: float, high: float) -> tuple[str, str]:
    """Return both numbers with as many decimals, two or more, as it takes to differ."""
    for decimals in range(2, 9):
        texts = f"{low:.{decimals}f}", f"{high:.{decimals}f}"
        if texts[0] != texts[1]:
            return texts
    return repr(low), repr(high)


def _reader(path: str, stdin: BinaryIO) -> Read:
    return partial(read_stream, stdin) if path == STDIN else lambda: read_photo(path)
