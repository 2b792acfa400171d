"""How fast a bundle answers on this machine, and how much memory that takes.

Measured in a child process of its own, because a process that trained something has threads,
caches and memory that the model's user will not have. The child imports what ``pegboard
predict`` imports, nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import AT_ONCE
from pegboard.errors import PegboardError
from pegboard.predict import Predictor

REPEATS = 50
"""Single photos timed: enough for a 95th percentile."""
SINGLE_SECONDS = 1.5
"""No further single photo is timed after this long, once there are five."""
BATCH_SECONDS = 1.0
"""Many photos at once are timed for about this long; of a slow model at least eight photos."""
_LEAST = 5
_WARM_UP = 3
_TIMEOUT = 300


@dataclass(frozen=True)
class Speed:
    """What was measured, on the CPU.

    Attributes
    ----------
    latency_ms_p50, latency_ms_p95
        Median and 95th percentile of the milliseconds from one photo's bytes in memory to its
        label, one photo at a time.
    images_per_second
        Many photos given at once, decoding included: batches of 32, of which the network takes
        eight in one call.
    peak_memory_bytes
        Largest resident memory of the process that did both; None where the system does not
        tell.
    """

    latency_ms_p50: float
    latency_ms_p95: float
    images_per_second: float
    peak_memory_bytes: int | None


def measure(
    bundle: str | Path,
    payloads: Sequence[bytes | NDArray[np.uint8]],
    *,
    repeats: int = REPEATS,
    threads: int | None = None,
) -> Speed:
    """Measure a bundle in a child process.

    Takes about three seconds; longer with a model that takes more than a tenth of a second for
    one photo.

    Parameters
    ----------
    bundle
        The ``.pegboard`` file.
    payloads
        Photos as they come: file contents or pixels. About 32 different ones are enough; they
        are used in turn.
    repeats
        Single photos to time.
    threads
        As for :class:`pegboard.predict.Predictor`.

    Raises
    ------
    PegboardError
        When the child fails, with its message.
    """
    if not payloads:
        raise ValueError("expected at least one photo to measure with")
    with tempfile.TemporaryDirectory(prefix="pegboard-") as folder:
        photos = Path(folder) / "photos.npz"
        _write_payloads(photos, payloads)
        command = [
            *(sys.executable, "-P", "-m", "pegboard.speed", str(bundle), str(photos)),
            *("--repeats", str(repeats)),
            *(("--threads", str(threads)) if threads is not None else ()),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_TIMEOUT
            )
        except subprocess.TimeoutExpired as error:
            raise PegboardError(
                f"the speed of {bundle} could not be measured within {_TIMEOUT} s"
            ) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise PegboardError(f"the speed of {bundle} could not be measured: {last}")
    return Speed(**json.loads(done.stdout))


def _write_payloads(path: Path, payloads: Sequence[bytes | NDArray[np.uint8]]) -> None:
    # File contents become arrays of one dimension; pixels have two or three.
    arrays = {
        f"{index:06d}": np.frombuffer(payload, np.uint8) if isinstance(payload, bytes) else payload
        for index, payload in enumerate(payloads)
    }
    np.savez(path, allow_pickle=False, **arrays)


def _read_payloads(path: Path) -> list[bytes | NDArray[np.uint8]]:
    with np.load(path, allow_pickle=False) as arrays:
        return [
            array.tobytes() if array.ndim == 1 else array
            for array in (arrays[name] for name in arrays.files)
        ]


# --- the child ---------------------------------------------------------------------------


def time_here(
    predictor: Predictor, payloads: Sequence[bytes | NDArray[np.uint8]], repeats: int
) -> Speed:
    """Measure in this process."""
    milliseconds = _singles(predictor, payloads, repeats)
    median, high = np.percentile(milliseconds, [50, 95])
    throughput = _throughput(predictor, payloads)
    return Speed(float(median), float(high), throughput, peak_memory())


def _singles(
    predictor: Predictor, payloads: Sequence[bytes | NDArray[np.uint8]], repeats: int
) -> list[float]:
    photos = cycle(payloads)
    for photo in islice(photos, _WARM_UP):
        predictor.predict([photo])
    taken: list[float] = []
    end = time.perf_counter() + SINGLE_SECONDS
    for photo in islice(photos, repeats):
        start = time.perf_counter()
        predictor.predict([photo])
        stop = time.perf_counter()
        taken.append(1000 * (stop - start))
        if stop > end and len(taken) >= _LEAST:
            break
    return taken


def _throughput(predictor: Predictor, payloads: Sequence[bytes | NDArray[np.uint8]]) -> float:
    """Return photos per second, of as many as take about ``BATCH_SECONDS``."""
    photos = cycle(payloads)

    def seconds(count: int) -> float:
        batch = list(islice(photos, count))
        start = time.perf_counter()
        predictor.predict(batch)
        return time.perf_counter() - start

    first = seconds(AT_ONCE)  # sets up memory
    once = seconds(AT_ONCE) if first < BATCH_SECONDS else first
    count = AT_ONCE * max(1, round(BATCH_SECONDS / once))
    return count / seconds(count)


def peak_memory() -> int | None:
    """Return this process's largest resident memory so far in bytes, or None if unknown."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux: ru_maxrss of a child begins at its parent's size, VmHWM at its own.
        for line in status.read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    if sys.platform == "darwin":
        import resource  # noqa: PLC0415  (not on Windows)

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the child: measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m pegboard.speed", description=main.__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path, help="npz of photos, as measure() writes it")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    try:
        predictor = Predictor.load(options.bundle, options.threads)
        speed = time_here(predictor, _read_payloads(options.photos), options.repeats)
    except PegboardError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(speed)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
