"""A figure that shows itself in a notebook, without pyplot and its global state."""

from __future__ import annotations

from matplotlib.figure import Figure


class InlineFigure(Figure):
    """A matplotlib figure that a notebook displays when it is the value of a cell."""

    def _repr_png_(self) -> bytes:
        from pegboard.report.charts.saving import to_png  # noqa: PLC0415

        return to_png(self)
