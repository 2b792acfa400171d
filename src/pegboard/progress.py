"""Progress on standard error: bars on a terminal, silence elsewhere.

Library code takes a :class:`Progress` and never prints; the command line passes a
:class:`RichProgress`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Step(Protocol):
    """One bar."""

    def advance(self, amount: float = 1, **fields: Any) -> None:
        """Move the bar by ``amount``; ``note=`` sets the text behind it."""
        ...


class Progress:
    """Says nothing. The default for library use."""

    def message(self, text: str) -> None:
        """Tell one line."""

    @contextmanager
    def step(self, title: str, total: float | None) -> Iterator[Step]:
        """Show one bar while the block runs."""
        yield _Silent()


class _Silent:
    def advance(self, amount: float = 1, **fields: Any) -> None:
        pass


class RichProgress(Progress):
    """Lines on standard error, and bars with the time left where ``bars`` is true."""

    def __init__(self, *, bars: bool | None = None, quiet: bool = False) -> None:
        from rich.console import Console  # noqa: PLC0415  (kept out of library imports)

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars = self._console.is_terminal if bars is None else bars
        self._quiet = quiet

    def message(self, text: str) -> None:
        """Tell one line on standard error."""
        if not self._quiet:
            self._console.print(text, markup=False)

    @contextmanager
    def step(self, title: str, total: float | None) -> Iterator[Step]:
        """Show a bar with the time left on standard error."""
        if not self._bars:
            yield _Silent()
            return
        if not self._console.is_terminal:
            yield _Lines(self.message, title, total)
            return
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars  # noqa: PLC0415

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bars(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(title, total=total, note="")
            yield _Bar(bars, task)


class _Lines:
    """What a bar is in a file: a line for each tenth, or each thousand where no end is known."""

    def __init__(self, tell: Callable[[str], None], title: str, total: float | None) -> None:
        self._tell, self._title, self._total = tell, title, total
        self._each = total / 10 if total else 1000
        self._done = self._told = 0.0

    def advance(self, amount: float = 1, **fields: Any) -> None:
        self._done += amount
        if self._done - self._told < self._each:
            return
        self._told = self._done
        end = f" of {self._total:,.0f}" if self._total else ""
        self._tell(f"{self._title}: {self._done:,.0f}{end}")


class _Bar:
    def __init__(self, bars: Any, task: Any) -> None:
        self._bars = bars
        self._task = task

    def advance(self, amount: float = 1, **fields: Any) -> None:
        self._bars.update(self._task, advance=amount, **fields)
