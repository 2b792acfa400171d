"""What a notebook shows: small tables, and progress that leaves no trail of old bars."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

from pegboard.progress import Progress, RichProgress, Step

REDRAW_SECONDS = 0.2
"""A notebook keeps up with a few drawings a second."""

Show = Callable[[str], None]
"""Replace what is shown by this HTML."""


def progress_here() -> Progress:
    """Return progress fit for where this runs: a notebook, a terminal, or silence elsewhere."""
    show = _notebook_display()
    if show is not None:
        return NotebookProgress(show)
    return RichProgress(quiet=not sys.stderr.isatty())


def _notebook_display() -> Show | None:
    """Return what draws into the output of this notebook's cell; None outside a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    output: Any = importlib.import_module("IPython.display")
    handle = output.display(output.HTML(""), display_id=True)
    return lambda html: handle.update(output.HTML(html))


class NotebookProgress(Progress):
    """Lines told so far, and below them the bar at work, all in one place.

    Parameters
    ----------
    show
        Replaces what is shown by the HTML it is given.
    clock
        Seconds that only go forward.
    """

    def __init__(self, show: Show, clock: Callable[[], float] = time.monotonic) -> None:
        self._show = show
        self._clock = clock
        self._lines: list[str] = []

    def message(self, text: str) -> None:
        """Tell one line; it stays."""
        self._lines.append(text)
        self._draw()

    @contextmanager
    def step(self, title: str, total: float | None) -> Iterator[Step]:
        """Show a bar while the block runs."""
        bar = _Bar(self, title, total)
        try:
            yield bar
        finally:
            self._draw()

    def _draw(self, bar: str = "") -> None:
        lines = "<br>".join(escape(line) for line in self._lines)
        self._show(f'<div style="font-size:90%">{lines}{bar}</div>')


class _Bar:
    def __init__(self, owner: NotebookProgress, title: str, total: float | None) -> None:
        self._owner = owner
        self._title = title
        self._total = total
        self._done = 0.0
        self._note = ""
        self._drawn = float("-inf")

    def advance(self, amount: float = 1, **fields: Any) -> None:
        self._done += amount
        self._note = str(fields.get("note", self._note))
        now = self._owner._clock()
        if now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        value = f' value="{self._done:g}" max="{self._total:g}"' if self._total else ""
        self._owner._draw(
            f"<div>{escape(self._title)} <progress{value}></progress> {escape(self._note)}</div>"
        )


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, strong: int = -1) -> str:
    """Return an HTML table of plain texts; numbers stand to the right.

    Parameters
    ----------
    header, rows
        Texts; the first column is the row's name.
    strong
        Index of the row to set in bold.
    """
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    bold = ' style="font-weight:bold"'
    body = "".join(
        f"<tr{bold if number == strong else ''}>{_cells(row)}</tr>"
        for number, row in enumerate(rows)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: Sequence[str]) -> str:
    first, *rest = (escape(text) for text in row)
    return f'<td style="text-align:left">{first}</td>' + "".join(
        f"<td>{text}</td>" for text in rest
    )
