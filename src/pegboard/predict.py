"""Ask a bundle about photos: files, folders, bytes or pixels. Without PyTorch.

>>> predictor = Predictor.load("probe.pegboard")             # doctest: +SKIP
>>> predictor.predict([open("photo.jpg", "rb").read()])[0]   # doctest: +SKIP
Prediction(path=None, label='hammer', probability=0.98, ...)
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.bundle import Bundle, BundleInfo, Network, read_bundle, share_text
from pegboard.errors import PegboardError, UnusableImage
from pegboard.images import MAX_PIXELS, image_bytes
from pegboard.inputs import fitted
from pegboard.photos import Pixels
from pegboard.rows import Candidate, Decision, Prediction, Tally, write_rows
from pegboard.threads import default_threads

BATCH = 32
"""Photos decoded while the network works on as many before them."""

_STDIN = "-"

Payload = bytes | NDArray[np.uint8] | Image.Image
"""A photo: its file's bytes, ``(h, w)`` or ``(h, w, 1 or 3)`` uint8, or a Pillow image."""

Read = Callable[[], Payload]


class Predictor:
    """A bundle, ready to answer.

    Safe to use from several threads.

    Parameters
    ----------
    bundle
        What :func:`pegboard.bundle.read_bundle` returned.
    threads
        CPU threads for decoding and for the network; None for as many as there are cores.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise PegboardError(f"--threads: expected at least 1, got {threads}")
        self.info: BundleInfo = bundle.info
        self._threads = threads
        self._network: Bundle | Network = bundle
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> Predictor:
        """Read and check a ``.pegboard`` file. The network is set up at the first question.

        Raises
        ------
        BundleError
            When the file is not a whole bundle of a format this version reads.
        """
        return cls(read_bundle(path), threads)

    def predict(self, payloads: Sequence[Payload], top: int = 3) -> list[Prediction]:
        """Answer for photos given as file contents, pixels or Pillow images, in their order.

        A photo that cannot be used gets a row with ``error``.
        """
        reads = [(None, lambda payload=payload: payload) for payload in payloads]
        _check_top(top)
        if len(reads) == 1:  # no thread to start: the quickest way for one photo
            (answered,) = self._answer([None], [self._fit(reads[0][1])])
            return [self._prediction(*answered, top)]
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
        for path, answer in self.answers(items):
            yield self._prediction(path, answer, top)

    def answers(
        self, items: Iterable[tuple[str | None, Read]]
    ) -> Iterator[tuple[str | None, NDArray[np.float32] | str]]:
        """Return each photo's name with its probabilities ``(classes,)``, or why it has none.

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
    ) -> Iterator[tuple[str | None, NDArray[np.float32] | str]]:
        return self._answer(paths, [future.result() for future in futures])

    def fit(self, payload: Payload, max_pixels: int = MAX_PIXELS) -> Pixels | str:
        """Return what the model sees of a photo, or why it sees nothing of it.

        A file of a photo with more than ``max_pixels`` is refused before it is decoded.
        """
        return self._fit(lambda: payload, max_pixels)

    def rows(self, seen: Sequence[Pixels | str], top: int = 3) -> list[Prediction]:
        """Answer for what :meth:`fit` returned, in one batch and in its order."""
        _check_top(top)
        paths = [None] * len(seen)
        return [self._prediction(*answered, top) for answered in self._answer(paths, seen)]

    def _fit(self, read: Read, max_pixels: int = MAX_PIXELS) -> Pixels | str:
        """Return fitted pixels, or why there are none."""
        try:
            payload = read()
            if isinstance(payload, Image.Image):
                payload = image_bytes(payload)
            return fitted(payload, self.info.input, max_pixels)
        except UnusableImage as error:
            return str(error)
        except OSError as error:
            return f"unreadable: {error.strerror or error}"
        except MemoryError:
            return "too-large: there is not enough memory to decode it"

    def _answer(
        self, paths: Sequence[str | None], results: Sequence[Pixels | str]
    ) -> Iterator[tuple[str | None, NDArray[np.float32] | str]]:
        images = [result for result in results if not isinstance(result, str)]
        rows = iter(self.probabilities(np.stack(images)) if images else ())
        for path, result in zip(paths, results, strict=True):
            yield path, result if isinstance(result, str) else next(rows)

    def _prediction(
        self, path: str | None, answer: NDArray[np.float32] | str, top: int
    ) -> Prediction:
        if isinstance(answer, str):
            return Prediction(path, error=answer)
        order = np.argsort(-answer, kind="stable")[:top]
        candidates = tuple(
            Candidate(self.info.classes[index], float(answer[index])) for index in order
        )
        best = candidates[0]
        decision, reason = self._decide(best.probability)
        return Prediction(path, best.label, best.probability, candidates, decision, reason)

    def _decide(self, probability: float) -> tuple[Decision, str | None]:
        sure, share = self.info.sure, share_text(self.info.thresholds.get("precision"))
        if sure is None:
            return "unsure", f"no probability was high enough for {share} right on validation"
        if probability >= sure:
            return "sure", None
        found, needed = _told_apart(probability, sure)
        return "unsure", (
            f"probability {found} is below {needed}, where {share} of validation answers were right"
        )


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


# --- files -------------------------------------------------------------------------------


def predict_files(
    predictor: Predictor,
    arguments: Sequence[str],
    stream: BinaryIO,
    *,
    files_from: str | None = None,
    top: int = 3,
    kind: str = "table",
    stdin: BinaryIO | None = None,
) -> Tally:
    """Answer for everything the user named, and write the rows.

    Parameters
    ----------
    predictor
        The model.
    arguments
        Files, folders, or ``-`` for one image on ``stdin``.
    stream
        Where the rows go, such as ``sys.stdout.buffer``.
    files_from
        A file with one path per line (``-``: on ``stdin``), answered after ``arguments``.
    top, kind
        See :func:`pegboard.rows.write_rows`.
    stdin
        Standard input's bytes; by default this process's.

    Returns
    -------
    How many were classified and failed; ``.exit_code(strict=…)`` is the command's.

    Raises
    ------
    PegboardError
        When nothing was named, an argument or ``files_from`` does not exist, or both want
        standard input.
    """
    source = stdin if stdin is not None else sys.stdin.buffer
    if not arguments and files_from is None:
        raise PegboardError("expected photos or folders to classify, or --files-from; got none")
    if [*arguments, files_from].count(_STDIN) > 1:
        raise PegboardError("standard input can be read only once; '-' was given more than once")
    paths = found_files(arguments, files_from, source)
    return write_rows(predictor.predict_paths(paths, top, source), kind, stream, top=top)


def found_files(
    arguments: Sequence[str], files_from: str | None = None, stdin: BinaryIO | None = None
) -> Iterator[str]:
    """Return the files the user named, folders replaced by the files below them.

    ``-`` is handed on. Lines of ``files_from`` are relative to the current folder; a line
    naming nothing is handed on too, and becomes a row with ``error``.

    Raises
    ------
    PegboardError
        When an argument or ``files_from`` does not exist.
    """
    missing = [name for name in arguments if name != _STDIN and not os.path.lexists(name)]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise PegboardError(f"expected a photo or a folder, found nothing at {missing[0]}{more}")
    lines = _lines(files_from, stdin or sys.stdin.buffer) if files_from is not None else iter(())
    return _expanded(arguments, lines)


def _expanded(arguments: Iterable[str], lines: Iterable[str]) -> Iterator[str]:
    for names in (arguments, lines):
        for name in names:
            if name != _STDIN and os.path.isdir(name):  # noqa: PTH112  (takes any name)
                yield from files_below(name)
            else:
                yield name


def files_below(folder: str) -> list[str]:
    """Return all files below ``folder``, sorted, each as ``folder`` joined with its path.

    Hidden files and folders (a name that begins with a dot) are left out. A link to a folder
    is followed, unless that folder is listed anyway: real folders come first, so links lead
    neither in circles nor to a file twice. A folder that cannot be listed is returned itself,
    so that it is not passed over in silence.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    links = [folder]

    def unlisted(error: OSError) -> None:
        found.append(os.fsdecode(error.filename))

    while links:
        for place, folders, files in os.walk(links.pop(0), onerror=unlisted):
            folders[:] = [name for name in folders if not name.startswith(".")]
            if not _first_visit(place, seen):
                folders.clear()
                continue
            found += [_join(place, name) for name in files if not name.startswith(".")]
            inner = [_join(place, name) for name in folders]
            links += [path for path in inner if Path(path).is_symlink()]
    return sorted(found)


def _first_visit(folder: str, seen: set[tuple[int, int]]) -> bool:
    status = Path(folder).stat()
    identity = status.st_dev, status.st_ino
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118  (pathlib would drop a leading "./")


def _lines(files_from: str, stdin: BinaryIO) -> Iterator[str]:
    if files_from == _STDIN:
        return _names(stdin)
    try:
        return _names(Path(files_from).open("rb"))
    except OSError as error:
        raise PegboardError(
            f"--files-from: expected a file with one path per line, {files_from}: {error.strerror}"
        ) from error


def _names(stream: BinaryIO) -> Iterator[str]:
    with stream:
        for line in stream:
            if name := line.rstrip(b"\r\n"):
                yield os.fsdecode(name)


def _reader(path: str, stdin: BinaryIO) -> Read:
    return stdin.read if path == _STDIN else lambda: read_photo(path)


def read_photo(path: str) -> bytes:
    """Return a file's bytes; OSError or UnusableImage when it cannot be read."""
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnusableImage("missing-file", "there is no such file") from error
    if stat.S_ISDIR(mode):
        next(Path(path).iterdir(), None)  # says why the folder could not be listed
        raise UnusableImage("not-an-image", "it is a folder")
    # A pipe without a writer would wait for ever; what the shell puts below /dev has one.
    if not stat.S_ISREG(mode) and not path.startswith("/dev/"):
        raise UnusableImage("unsupported", "it is not a regular file")
    return Path(path).read_bytes()
