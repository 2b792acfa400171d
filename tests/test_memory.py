from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from pegboard.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(64 << 20, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
without = faults()
if not keep_freed_memory():
    sys.exit("no glibc")
faults()
print(without, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
def test_blocks_taken_again_cost_no_page_faults() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    if done.stderr.strip() == "no glibc":
        pytest.skip("needs glibc")
    without, kept = map(int, done.stdout.split())
    assert kept < without / 10


MAPPED = """
import re, sys
import numpy as np
from pegboard.memory import let_pages_go

def mapped():
    return int(re.search(r"RssFile:\\s+(\\d+)", open("/proc/self/status").read())[1])

array = np.lib.format.open_memmap(sys.argv[1], mode="w+", dtype=np.uint8, shape=(64, 1 << 20))
before = mapped()
array[:] = np.arange(64, dtype=np.uint8)[:, None]
written = mapped()
let_pages_go(array)
gone = mapped()
let_pages_go(np.arange(3))
print(written - before, gone - before, (array[:, ::4096] == np.arange(64)[:, None]).all())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_pages_of_a_mapped_array_are_let_go_and_nothing_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAPPED, str(tmp_path / "a.npy")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    written, gone, equal = done.stdout.split()
    assert int(written) > 60 << 10
    assert int(gone) < 8 << 10
    assert equal == "True"
