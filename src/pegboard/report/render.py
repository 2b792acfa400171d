"""From a run folder to ``report.html`` and ``plots/``."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from pegboard.errors import require_extra
from pegboard.files import write_bytes_atomically, write_text_atomically
from pegboard.report.context import Chart, ReportContext
from pegboard.runs import RunFolder

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

LARGEST_SVG = 400_000
"""Characters of a figure placed on the page as SVG; a larger one is placed as PNG."""


def write_report(run_folder: Path) -> Path:
    """Write ``report.html``, ``plots/`` and the model cards of a run, from its files alone.

    The page holds everything it shows, so it opens without a network, and equal files give
    an equal page.

    Returns
    -------
    Path of the page.

    Raises
    ------
    RunFolderError
        When the folder is not a finished run, or a file in it is damaged.
    MissingExtra
        When matplotlib is not installed.
    """
    require_extra("matplotlib", "report")
    from pegboard.report.cards import write_cards  # noqa: PLC0415
    from pegboard.report.figures import others  # noqa: PLC0415
    from pegboard.report.gather import build_context  # noqa: PLC0415
    from pegboard.report.run import Run  # noqa: PLC0415

    folder = RunFolder(run_folder)
    run = Run.read(folder)
    folder.plots.mkdir(exist_ok=True)
    write_cards(run)  # first: the page has a link to each
    shelf = PlotShelf(folder.plots)
    context = build_context(run, shelf)
    for name, figure in others(run, shelf.names):
        shelf.save(name, figure)
    write_text_atomically(folder.report, render(context))
    return folder.report


class PlotShelf:
    """Keeps every figure as PNG and SVG in a folder, and makes it fit for the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names: set[str] = set()

    def save(self, name: str, figure: Figure) -> tuple[str, bytes]:
        """Save the figure as ``name.svg`` and ``name.png`` and return what these hold."""
        from pegboard.report.charts import to_files  # noqa: PLC0415

        svg, png = to_files(figure)
        write_text_atomically(self._folder / f"{name}.svg", svg)
        write_bytes_atomically(self._folder / f"{name}.png", png)
        self.names.add(name)
        return svg, png

    def put(self, name: str, figure: Figure, *, caption: str, alt: str) -> Chart:
        """Save the figure and return it for the page."""
        from pegboard.report.charts import embeddable, embeddable_png  # noqa: PLC0415

        svg, png = self.save(name, figure)
        picture = (
            embeddable(svg, name=name, alt=alt)
            if len(svg) <= LARGEST_SVG
            else embeddable_png(png, alt=alt)
        )
        return Chart(picture, caption, f"{self._folder.name}/{name}.png")


def render(context: ReportContext) -> str:
    """Return the page. Every text is escaped, whatever a file or a class is called."""
    # The fields and not the object: a template can name nothing that is not documented.
    return page_of(
        "report.html.j2", {field.name: getattr(context, field.name) for field in fields(context)}
    )


def page_of(template: str, values: Mapping[str, object]) -> str:
    """Return the page of a template, every text escaped."""
    page = template_environment().get_template(template).render(values)
    # A file's name need not be Unicode, but a page must.
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", page)


def template_environment() -> Environment:
    """Return what renders the templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("pegboard.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sha256"] = lambda name: _sha256(environment.get_template(name).render())
    return environment


def _sha256(script: str) -> str:
    """Return what a Content-Security-Policy calls a script by: this one runs, and no other."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
