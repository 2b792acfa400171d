"""``check``: find what is wrong with the photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pegboard.cli.options import (
    class_options,
    column_options,
    common_options,
    parse_merge,
    progress_for,
    threads_option,
)
from pegboard.cli.output import show, show_json, tell

EXIT_FOUND = 3


@click.command("check")
@click.argument("source")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("pegboard-check"),
    show_default=True,
    metavar="DIR",
    help="Folder for the findings.",
)
@click.option(
    "--fail-on",
    metavar="CODE,…",
    help="Exit with 3 when any of these codes was found; 'any' means all.",
)
@click.option("--overwrite", is_flag=True, help="Replace the check of another source in DIR.")
@click.option(
    "--corrections",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Corrections of labels to apply first.",
)
@click.option("--budget", metavar="10m", help="Wall time, such as 90s or 10m.")
@class_options
@column_options
@threads_option
@common_options
def check_command(
    source: str,
    fail_on: str | None,
    as_json: bool,
    progress: bool | None,
    debug: bool,
    **options: Any,
) -> int:
    """Find bad files, duplicates, wrong labels and more among the photos of SOURCE.

    SOURCE as for `pegboard compare`; a folder without classes will do. Nothing in it is
    changed.

    \b
    pegboard check photos/
    pegboard check photos/ --fail-on unreadable,leak
    """
    from pegboard.audit_table import check_text
    from pegboard.budget import parse_duration
    from pegboard.checking import CheckSettings, check_source, codes_to_fail_on

    codes = codes_to_fail_on(fail_on)
    options["merge"] = parse_merge(options["merge"])
    if options["budget"] is not None:
        options["budget"] = parse_duration(options["budget"])
    checked = check_source(
        CheckSettings(source=source, **options),
        progress=progress_for(progress),
        started=click.get_current_context().obj,
    )
    if as_json:
        show_json(checked.to_json())
    else:
        show(check_text(checked.folder, checked.record, checked.findings).rstrip())
    failed = checked.gate(codes)
    if failed:
        tell(failed)
    return EXIT_FOUND if failed else 0
