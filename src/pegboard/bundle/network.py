"""A bundle's ONNX graph, and a few inputs to check it with on any machine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import BundleError
from pegboard.inputs import InputSpec
from pegboard.photos import Pixels
from pegboard.threads import default_threads

AT_ONCE = 8
"""Photos in one call of the network. More is no faster on a CPU and takes more memory:
EfficientNet-Lite0 at 224 px peaked at 289 MiB with 8 and at 804 MiB with 32."""

APART_VALUES = 96 * 96
"""Inputs of at least so many values pass the network side by side, each on one core. Nothing is
shared then and no core waits for another: EfficientNet-Lite0 took 12 ms of a core for a photo so,
and 16 to 25 ms in batches of eight that two cores share. Smaller ones are over before a thread
has begun."""

APART_BYTES = 1 << 28
"""Graphs above this stay as they are: to go side by side, a graph is held in memory once more."""

_REFERENCE_COUNT = 8
_REFERENCE_GRID = 16


class Network:
    """A bundle's ONNX graph, running on the CPU.

    Parameters
    ----------
    model
        The ONNX file's bytes; kept until several photos are asked about at once.
    spec
        The input it must take.
    classes
        How many probabilities it must give.
    threads
        CPU threads; None lets ONNX Runtime choose.

    Raises
    ------
    BundleError
        When the bytes are no ONNX graph or its input and outputs are others.
    """

    def __init__(
        self, model: bytes, spec: InputSpec, classes: int, threads: int | None = None
    ) -> None:
        self._session = _open_session(model, threads)
        self._shape = spec.shape
        self._classes = classes
        self._check_graph()
        self._widths = {"probabilities": classes} | self._features()
        self._threads = threads or default_threads()
        is_apart = np.prod(spec.shape) >= APART_VALUES and len(model) <= APART_BYTES
        self._model = model if is_apart and self._threads > 1 else b""
        self._apart: Any = None
        self._lock = threading.Lock()

    def probabilities(self, images: Pixels) -> NDArray[np.float32]:
        """Return the probability of every class.

        Parameters
        ----------
        images
            ``(n, height, width, channels)`` uint8, fitted to the input specification.

        Returns
        -------
        ``(n, classes)`` float32.
        """
        return self.answers(images)[0]

    def answers(self, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return probabilities, and features where the network gives them.

        Parameters
        ----------
        images
            As for :meth:`probabilities`.

        Returns
        -------
        ``(n, classes)`` float32, and ``(n, D)`` float32: the input of the last linear layer.
        """
        if len(images) > 1 and (session := self._single_threaded()):
            with ThreadPoolExecutor(self._threads) as pool:
                parts = list(pool.map(lambda image: self._run(session, image[None]), images))
        else:
            starts = range(0, len(images), AT_ONCE)
            parts = [self._run(self._session, images[start : start + AT_ONCE]) for start in starts]
        none = (np.empty((0, width), np.float32) for width in self._widths.values())
        probabilities, *features = (
            np.concatenate(column) for column in zip(tuple(none), *parts, strict=True)
        )
        return probabilities, features[0] if features else None

    def _run(self, session: Any, images: Pixels) -> tuple[NDArray[np.float32], ...]:
        return tuple(session.run(list(self._widths), {"images": images}))

    def _single_threaded(self) -> Any:
        """Return the graph for photos side by side; None where they do not go that way."""
        with self._lock:
            if self._model:
                self._apart, self._model = _open_session(self._model, 1), b""
            return self._apart

    def _features(self) -> dict[str, int]:
        """Return how many features there are for each photo, if there are any."""
        shapes = {value.name: value.shape for value in self._session.get_outputs()}
        shape = shapes.get("features", ())
        return {"features": shape[1]} if len(shape) == 2 and isinstance(shape[1], int) else {}

    def _check_graph(self) -> None:
        inputs = {value.name: value for value in self._session.get_inputs()}
        outputs = {value.name: value for value in self._session.get_outputs()}
        expected_in, expected_out = list(self._shape), self._classes
        if (
            list(inputs) != ["images"]
            or inputs["images"].type != "tensor(uint8)"
            or inputs["images"].shape[1:] != expected_in
            or "probabilities" not in outputs
            or outputs["probabilities"].shape[1:] != [expected_out]
        ):
            found = {name: value.shape[1:] for name, value in (inputs | outputs).items()}
            raise BundleError(
                "model.onnx does not fit model.json: expected uint8 images of "
                f"{expected_in} and {expected_out} probabilities, found {found}"
            )


def _open_session(model: bytes, threads: int | None) -> Any:
    import onnxruntime  # noqa: PLC0415  (a sixth of a second, not needed to read figures)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # failures come as exceptions
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a dozen classes and no common base
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(f"model.onnx cannot be loaded: {first_line}") from error


@dataclass(frozen=True)
class Reference:
    """Drawn inputs and the trained model's answers, to check a bundle anywhere.

    Photos are their owner's, so none travels with a model. The inputs are small random grids,
    blown up to blocks by integer arithmetic only: the same on every machine, and a few
    kilobytes for any input size.

    Attributes
    ----------
    grids
        ``(n, g, g, channels)`` uint8.
    probabilities
        ``(n, classes)`` float32.
    """

    grids: NDArray[np.uint8]
    probabilities: NDArray[np.float32]

    def inputs(self, spec: InputSpec) -> Pixels:
        """Return the inputs, ``(n, height, width, channels)`` uint8."""
        return blow_up(self.grids, spec)


def reference_grids(channels: int, n: int = _REFERENCE_COUNT) -> NDArray[np.uint8]:
    """Draw the grids of a :class:`Reference`, ``(n, 16, 16, channels)``.

    From an even grey to full contrast, so that not all answers are alike.
    """
    rng = np.random.default_rng(0)
    shape = (_REFERENCE_GRID, _REFERENCE_GRID, channels)
    levels = rng.integers(0, 256, (n, 1, 1, channels))
    noise = rng.integers(-128, 128, (n, *shape))
    contrast = np.arange(n).reshape(-1, 1, 1, 1)
    return np.clip(levels + noise * contrast // n, 0, 255).astype(np.uint8)


def blow_up(grids: NDArray[np.uint8], spec: InputSpec) -> Pixels:
    """Enlarge ``(n, g, g, channels)`` grids to ``(n, height, width, channels)`` blocks."""
    rows = np.arange(spec.height) * grids.shape[1] // spec.height
    columns = np.arange(spec.width) * grids.shape[2] // spec.width
    return np.ascontiguousarray(grids[:, rows][:, :, columns])
