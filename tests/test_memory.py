from __future__ import annotations

import subprocess
import sys

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
