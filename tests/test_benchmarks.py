"""The page of measurements is what its template and the result files give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest

from conftest import benchmark_module

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    return benchmark_module("write_page")


def summary(*values: float) -> dict[str, Any]:
    middle = sorted(values)[len(values) // 2]
    return {
        "median": middle, "least": min(values), "most": max(values), "n": len(values),
        "raw": list(values),
    }  # fmt: skip


def test_the_page_is_what_the_results_say() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "write_page.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_result_has_a_benchmark_and_a_place_on_the_page(writer: ModuleType) -> None:
    template = "".join((BENCHMARKS / name).read_text("utf-8") for name in writer.TEMPLATES)
    for name, result in writer.read_results(writer.RESULTS).items():
        made_by = result["benchmark"]
        assert (BENCHMARKS / f"{made_by}.py").is_file()
        assert name == made_by or name.startswith(f"{made_by}_")
        assert "--quick" not in result["command"]
        assert f"results.{name}" in template


def test_no_result_names_a_place_on_the_machine(writer: ModuleType) -> None:
    for file in writer.RESULTS.glob("*.json"):
        text = file.read_text("utf-8")
        assert not any(place in text for place in ("/tmp", "/home", "/root", "/work", "\\\\"))  # noqa: S108


def test_a_new_figure_changes_the_page(writer: ModuleType) -> None:
    result = {
        "command": "python benchmarks/manifest_rows.py",
        "date": "2030-01-02",
        "machine": {"cpu": "Abacus", "cores": 1, "memory_bytes": 2**30, "gpu": None},
        "load": [0.5, 0.25, 0.125],
        "rows": 1_000_000,
        "classes": 100,
        "megabytes": 112.3,
        "seconds": summary(12.34, 11.96, 15.0),
        "cpu_seconds": summary(11.0, 11.0, 11.0),
        "peak_gib": summary(1.25, 1.25, 1.25),
    }
    assert "Abacus" not in writer.page({})
    page = writer.page({"manifest_rows": result}).replace("\n", " ")
    assert "written in 12.3 s (12.0\N{EN DASH}15.0), 11.0 s of them computing, with a peak" in page
    assert "of 1.25 GiB; n = 3 runs" in page
    assert "*2030-01-02, 1 core of Abacus, 1 GiB; load 0.5 at the end.*" in page
    del result["seconds"]
    with pytest.raises(jinja2.UndefinedError, match="seconds"):
        writer.page({"manifest_rows": result})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1421, "0.142"), (8.1609, "8.16"), (52.06, "52.1"), (1234.5, "1,234"), (0.0, "0")],
)
def test_figures_have_three_digits(writer: ModuleType, value: float, text: str) -> None:
    assert writer.figure(value) == text


def test_what_a_benchmark_writes_is_read_back(writer: ModuleType, tmp_path: Path) -> None:
    """``write_result`` and the page agree on the keys."""
    script = (
        "import argparse, pathlib, sys; from harness import summary, ratio, write_result\n"
        "given = argparse.Namespace(json=pathlib.Path(sys.argv[1]), quick=True)\n"
        "values = {'median': summary([3.0, 1.0, 2.0]), 'ratio': ratio([4.0, 9.0], [2.0, 3.0])}\n"
        "write_result('trial', given, values)\n"
    )
    file = tmp_path / "trial.json"
    subprocess.run(
        [sys.executable, "-c", script, str(file), "--quick", "--only", "a,b"],
        cwd=BENCHMARKS,
        capture_output=True,
        check=True,
    )
    result = json.loads(file.read_text("utf-8"))
    assert result["command"] == "python benchmarks/trial.py --quick --only a,b"
    assert writer.spread(result["median"], unit=" s") == "2.00 s (1.00\N{EN DASH}3.00)"
    assert writer.spread(result["ratio"]) == "2.50 (2.00\N{EN DASH}3.00)"
    assert writer.made_by(result).startswith(result["date"])
