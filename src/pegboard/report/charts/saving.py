"""From figures to files, and to elements of an HTML page.

Saved files show the colours as they are; :func:`embeddable` makes them follow the page.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr  # it writes, and reads nothing  # nosec B406

from pegboard.report.charts.style import DOTS_PER_INCH, PAGE_COLOURS, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def to_svg(figure: Figure) -> str:
    """Return the figure as an SVG document: the same figure always gives the same text."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415

    target = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with style(), _without_warnings(), _as_it_was(figure):
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(target, metadata=metadata)
    return target.getvalue()


def to_files(figure: Figure) -> tuple[str, bytes]:
    """Return the figure as SVG and PNG, laid out once: half of the time goes into that.

    The figure keeps the layout from then on.
    """
    svg = to_svg(figure)
    figure.set_layout_engine("none")
    return svg, to_png(figure)


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG at 120 dots per inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

    target = io.BytesIO()
    with style(), _without_warnings(), _as_it_was(figure):
        figure.set_dpi(DOTS_PER_INCH)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(target, metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    return target.getvalue()


@contextmanager
def _as_it_was(figure: Figure) -> Iterator[None]:
    """Draw on another canvas. ``savefig`` would do that too, but draws everything twice."""
    canvas, dots = figure.canvas, figure.get_dpi()
    try:
        yield
    finally:
        figure.set_dpi(dots)
        figure.set_canvas(canvas)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Say nothing of letters that no font here has: an SVG keeps them, a PNG shows boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def embeddable(svg: str, *, name: str, alt: str) -> str:
    """Return an SVG document as an element for an HTML page.

    The colours become the page's custom properties, so the figure follows its light or dark
    dress; the font becomes the page's; ids get ``name`` before them, so that several figures
    share a page; ``alt`` is what a screen reader says.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r"font: ([^'\";]*?px) 'DejaVu Sans'[^;\"]*", r"font: \1 var(--sans)", svg)
    for colour, variable in PAGE_COLOURS.items():
        svg = svg.replace(colour, variable)
    width = _width(svg)
    svg = re.sub(r'\b(width|height)="[\d.]+pt" ?', "", svg, count=2)
    label = quoteattr(alt)
    # On a phone a wide figure scrolls in its box before its letters become too small.
    pixels = width * 4 / 3
    style = f"max-width: {pixels:.0f}px; min-width: {0.8 * pixels:.0f}px"
    return svg.replace("<svg ", f'<svg role="img" aria-label={label} style="{style}" ', 1)


def embeddable_png(png: bytes, *, alt: str) -> str:
    """Return a PNG as an element for an HTML page."""
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt={quoteattr(alt)}>'


def _width(svg: str) -> float:
    """Width in points."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    if found is None:
        raise ValueError("an SVG without a viewBox")
    return float(found[1])
