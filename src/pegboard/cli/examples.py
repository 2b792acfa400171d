"""``example-photos``: something to try the other commands on."""

from __future__ import annotations

from pathlib import Path

import click

from pegboard.cli.options import common_options, progress_for
from pegboard.cli.output import show, show_json


@click.command("example-photos")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--per-class",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    metavar="N",
    help="Photos of each tool.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the drawing."
)
@click.option(
    "--size", type=int, default=240, show_default=True, metavar="N",
    help="Longer side of a photo in pixels.",
)  # fmt: skip
@click.option("--tidy", is_flag=True, help="Even classes and nothing wrong with them.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write what is truly on each photo as CSV.",
)
@common_options
def example_photos_command(
    folder: Path,
    per_class: int,
    seed: int,
    size: int,
    tidy: bool,
    truth: Path | None,
    as_json: bool,
    progress: bool | None,
    debug: bool,
) -> None:
    """Draw photos of eight kinds of tools into DIR, as untidy as real folders are.

    DIR must be new or empty.

    \b
    pegboard example-photos tools
    pegboard compare tools --merge Pliers=pliers
    """
    from pegboard.examples import CLASSES, write_tool_photos

    write_tool_photos(
        folder,
        per_class=per_class,
        seed=seed,
        untidy=not tidy,
        size=size,
        truth=truth,
        progress=progress_for(progress),
    )
    files = sum(path.is_file() for path in folder.rglob("*"))
    if as_json:
        show_json({"folder": str(folder), "files": files, "classes": list(CLASSES)})
        return
    show(f"{folder}: {files} files; photos of {len(CLASSES)} kinds of tools")
