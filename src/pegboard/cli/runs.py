"""``report`` and ``runs``: what becomes of runs."""

from __future__ import annotations

from pathlib import Path

import click

from pegboard.cli.options import debug_option, json_option
from pegboard.cli.output import show, show_json


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@json_option
@debug_option
def report_command(run: Path, as_json: bool, debug: bool) -> None:
    """Make the report of RUN again."""
    from pegboard.report import write_report

    path = write_report(run)
    show_json({"report": str(path)}) if as_json else show(str(path))
