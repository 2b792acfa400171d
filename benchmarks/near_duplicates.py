"""How long the search for near duplicates takes among many embeddings, and what it finds.

Embeddings are made up: clusters of few dimensions, as those of a backbone lie, with planted pairs
at cosines from .5 to .95. Searched by ``pegboard.nearest``, and by faiss and usearch where they
are installed (``pip install faiss-cpu usearch``; pegboard does not depend on them), one after the
other on the same vectors.

    python benchmarks/near_duplicates.py [--quick] [--vectors 100000] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import options, summary, write_result

LENGTH = 1280
NEIGHBOURS = 6
PLANTED = 2000
COSINES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

Vectors = NDArray[np.float32]
Found = NDArray[np.int64]
"""``(P, 2)``, the smaller index first."""


def main() -> None:
    """Measure every engine in a process of its own, in turns, and write the result."""
    parser = options(__doc__ or "", "near_duplicates")
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        print(json.dumps(measured(given.engine, given.folder)))
        return
    count = 10_000 if given.quick else given.vectors
    engines = [engine for engine in ENGINES if is_installed(engine)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        vectors, planted = made(count)
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "planted.npy", planted)
        del vectors
        turns = [
            [in_child(engine, folder) for engine in engines]
            for _ in range(1 if given.quick else given.turns)
        ]
    rows = [told([turn[place] for turn in turns]) for place in range(len(engines))]
    result = {"vectors": count, "length": LENGTH, "planted": PLANTED, "engines": rows}
    write_result("near_duplicates", given, result)


def told(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one engine's figures; what it finds is the same in every turn but for rounding."""
    figures = {
        name: summary([turn[name] for turn in turns])
        for name in ("seconds", "cpu_seconds", "peak_gib")
    }
    return {**turns[0], **figures}


def made(count: int, seed: int = 0) -> tuple[Vectors, Found]:
    """Return ``(count, LENGTH)`` vectors and ``(PLANTED, 2)`` which of them are copies of which."""
    rng = np.random.default_rng(seed)
    inner = 160
    axes = rng.normal(size=(inner, LENGTH)) / np.arange(1, inner + 1)[:, None] ** 0.5
    middles = 2 * rng.normal(size=(60, inner)).astype(np.float32)
    places = rng.normal(size=(count, inner)).astype(np.float32)
    places += middles[rng.integers(0, len(middles), count)]
    vectors = places @ axes.astype(np.float32)
    chosen = rng.choice(count, 2 * PLANTED, replace=False).reshape(PLANTED, 2)
    centre = vectors.mean(axis=0)
    for number, (first, second) in enumerate(chosen):
        cosine = COSINES[number % len(COSINES)]
        own = vectors[first] - centre
        # What a change does to a photo's features stays within the space of features.
        other = rng.normal(size=inner).astype(np.float32) @ axes.astype(np.float32)
        other -= own * (other @ own) / (own @ own)
        other *= np.linalg.norm(own) / np.linalg.norm(other)
        vectors[second] = centre + cosine * own + (1 - cosine**2) ** 0.5 * other
    return vectors.astype(np.float32), np.sort(chosen, axis=1)


# --- Engines -----------------------------------------------------------------------------


def by_pegboard(vectors: Vectors) -> Found:
    """Search as ``pegboard check`` does."""
    from pegboard.nearest import neighbours

    first, second, _ = neighbours(vectors, NEIGHBOURS)
    return np.stack((first, second), axis=1)


def by_faiss(vectors: Vectors) -> Found:
    """Search an inverted file of faiss with as many centres and probes."""
    import faiss

    rows = centred(vectors)
    count = 2 * int(len(rows) ** 0.5)
    quantiser = faiss.IndexFlatIP(LENGTH)
    index = faiss.IndexIVFFlat(quantiser, LENGTH, count, faiss.METRIC_INNER_PRODUCT)
    index.train(rows[:: max(1, len(rows) // (count * 40))].copy())
    index.add(rows)
    index.nprobe = 16
    return pairs(index.search(rows, NEIGHBOURS + 1)[1])


def by_usearch(vectors: Vectors) -> Found:
    """Search a graph of usearch with its usual settings."""
    from usearch.index import Index

    rows = centred(vectors)
    index = Index(ndim=LENGTH, metric="cos", dtype="f16")
    index.add(np.arange(len(rows)), rows)
    return pairs(np.asarray(index.search(rows, NEIGHBOURS + 1).keys).astype(np.int64))


ENGINES: dict[str, Callable[[Vectors], Found]] = {
    "pegboard": by_pegboard,
    "faiss": by_faiss,
    "usearch": by_usearch,
}


def centred(vectors: Vectors) -> Vectors:
    """Return unit vectors from the mean, as features of photos are compared."""
    rows = vectors - vectors.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def pairs(found: Found) -> Found:
    """Return pairs of neighbours, every one once."""
    own = np.repeat(np.arange(len(found)), found.shape[1])
    both = np.sort(np.stack((own, found.ravel()), axis=1), axis=1)
    return np.unique(both[(both[:, 0] != both[:, 1]) & (both[:, 0] >= 0)], axis=0)


# --- Measuring ---------------------------------------------------------------------------


def is_installed(engine: str) -> bool:
    """Whether an engine can be imported."""
    return importlib.util.find_spec(engine) is not None


def in_child(engine: str, folder: Path) -> dict[str, Any]:
    """Measure one engine in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--engine", engine, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measured(engine: str, folder: Path) -> dict[str, Any]:
    """Return seconds, memory and the share of planted pairs found, by cosine."""
    vectors = np.load(folder / "vectors.npy")
    planted = np.load(folder / "planted.npy")
    before, started = time.process_time(), time.perf_counter()
    found = ENGINES[engine](vectors)
    seconds, cpu = time.perf_counter() - started, time.process_time() - before
    codes = found[:, 0] * len(vectors) + found[:, 1]
    hit = np.isin(planted[:, 0] * len(vectors) + planted[:, 1], codes)
    return {
        "engine": engine,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "pairs": len(found),
        "found": {
            str(cosine): float(hit[start :: len(COSINES)].mean())
            for start, cosine in enumerate(COSINES)
        },
    }


if __name__ == "__main__":
    main()
