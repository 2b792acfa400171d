"""When memory stays with the process, and when it goes back to the system."""

from __future__ import annotations

import ctypes
import mmap
import sys
from contextlib import suppress
from functools import cache

import numpy as np
from numpy.typing import NDArray

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4

_LARGEST_INT = 2**31 - 1
_PAD = 256 << 20


@cache
def keep_freed_memory() -> bool:
    """Let freed blocks stay with the process instead of going back to the system.

    glibc maps every large block anew and unmaps it when it is freed. A training step on a CPU
    takes and frees gigabytes of activations, so it spends a fifth of its time in page faults:
    a step of EfficientNet-Lite0 (64 photos, 160 px, 2 cores) took 2.15 s, and 1.70 s with
    this. Nothing happens on systems without glibc.

    Returns
    -------
    Whether it was done.
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _LARGEST_INT), (_M_TOP_PAD, _PAD))
        # Every one is set even if one fails, so no short cut with all() on a generator.
        done = [mallopt(key, value) for key, value in settings]
        return all(done)
    return False


def give_back_freed_memory() -> None:
    """Hand blocks that :func:`keep_freed_memory` kept back to the system, once training is over.

    Evaluation and export take blocks of other sizes, which would come on top: after one epoch of
    EfficientNet-Lite0 on tools15 the process held 3.2 GiB, 3.9 at the end of the run.
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def let_pages_go(array: NDArray[np.generic]) -> None:
    """Give up the pages of an array that is mapped from a file; other arrays stay as they are.

    Nothing is lost: pages come back from the system's cache, or from the file, when they are read
    again. So an array of any length takes only the memory of what was read since the last call.
    """
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)
