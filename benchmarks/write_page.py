"""Write docs/benchmarks.md and docs/performance.md: their templates' text, with our figures.

The templates are ``page.md.jinja`` and ``performance.md.jinja``, the figures those of
``results/*.json``. A section whose result is not there is left out by the template. Figures are
never typed twice: what a script measured stands in its JSON file, and the page says it in the
template's words.

    python benchmarks/write_page.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
RESULTS = HERE / "results"
TEMPLATES = {"page.md.jinja": "benchmarks.md", "performance.md.jinja": "performance.md"}
DOCS = HERE.parent / "docs"

Summary = Mapping[str, Any]
"""Median, least, most, n and raw, as :func:`harness.summary` gives them."""


def main() -> int:
    """Write the page, or say whether it is as it would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it differs")
    given = parser.parse_args()
    results = read_results(RESULTS)
    pages = {DOCS / name: page(results, template) for template, name in TEMPLATES.items()}
    if given.check:
        differing = [path for path, text in pages.items() if path.read_text("utf-8") != text]
        for path in differing:
            print(f"{path.name} differs: python benchmarks/write_page.py")
        return 1 if differing else 0
    for path, text in pages.items():
        path.write_text(text, "utf-8")
    return 0


def read_results(folder: Path) -> dict[str, Any]:
    """Return every result by the name of its benchmark."""
    return {
        file.stem: json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))
    }


def page(results: Mapping[str, Any], template: str = "page.md.jinja") -> str:
    """Return a page's text.

    Raises
    ------
    jinja2.UndefinedError
        When the template names a figure that a result does not hold.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (Markdown, from our own figures)
    )
    environment.filters |= {
        "figure": figure,
        "spread": spread,
        "seconds": lambda values: spread(values, unit=" s"),
        "milliseconds": lambda values: spread(values, scale=1000, unit=" ms"),
        "times": spread,
        "share": lambda value: f"{value:.3f}".lstrip("0") if 0 <= value < 1 else f"{value:.3f}",
        "accuracy": lambda value: f"{value:.4f}".lstrip("0"),
        "thousands": lambda value: f"{value:,}",
    }
    return environment.get_template(template).render(results=results, made_by=made_by)


def figure(value: float) -> str:
    """Return a number with three digits, as one says it: 0.142, 8.16, 52.1, 1,234."""
    for least, decimals in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= least:
            return f"{value:,.{decimals}f}"
    return f"{value:.3g}"


def spread(values: Summary, scale: float = 1.0, unit: str = "") -> str:
    """Return a median, and the least and the most in brackets."""
    median, least, most = (figure(values[key] * scale) for key in ("median", "least", "most"))
    return f"{median}{unit}" if least == most else f"{median}{unit} ({least}\N{EN DASH}{most})"


def made_by(result: Mapping[str, Any]) -> str:
    """Say when and where a result was made."""
    machine = result["machine"]
    cores = f"{machine['cores']} core{'s' if machine['cores'] != 1 else ''}"
    where = f"{cores} of {machine['cpu']}, {machine['memory_bytes'] / 2**30:.0f} GiB"
    if machine.get("gpu"):
        where += f", {machine['gpu']}"
    load = max(result["load"])
    return f"{result['date']}, {where}; load {load:.1f} at the end"


if __name__ == "__main__":
    sys.exit(main())
