"""``review`` and ``apply``: decide about photos, and use the decisions."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from pegboard.cli.options import (
    class_options,
    column_options,
    common_options,
    debug_option,
    json_option,
    parse_merge,
    progress_for,
    threads_option,
)
from pegboard.cli.output import show, show_json, tell


@click.command("review")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE|RUN")
@click.option(
    "--findings",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of a check (default for a SOURCE: pegboard-check).",
)
@click.option(
    "--cell", metavar="TRUE,PREDICTED", help="Of a RUN: one cell of its confusion matrix."
)
@click.option(
    "--corrections",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where decisions go (default: corrections.csv in the folder of the check or run).",
)
@click.option("--reviewer", metavar="NAME", help="Who decides (default: your user name).")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port on this machine (default: one that is free).",
)
@click.option("--no-open", is_flag=True, help="Do not open the browser; print the address only.")
@click.option(
    "--merge", is_flag=True, help="Put corrections FILE FILE… of several people together."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --merge: the file to write.",
)
@json_option
@debug_option
def review_command(
    sources: tuple[str, ...],
    merge: bool,
    out: Path | None,
    port: int,
    no_open: bool,
    as_json: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Go through what was found, photo by photo, and decide; on a page of this machine.

    Every decision is one line of corrections.csv, saved at once; photos are never changed.
    Ctrl-C ends the review.

    \b
    pegboard review photos/
    pegboard review pegboard-runs/photos-20260102-030405 --cell hammer,mallet
    pegboard review --merge anna.csv ben.csv --out both.csv
    """
    if merge:
        if out is None or len(sources) < 2:
            raise click.UsageError("--merge takes two or more files and --out FILE")
        _merge(sources, out, as_json)
        return
    if out is not None:
        raise click.UsageError("--out goes with --merge")
    if len(sources) > 1:
        raise click.UsageError("give one SOURCE or RUN")
    _review(sources[0], port, open_it=not no_open, as_json=as_json, options=options)


def _review(
    target: str, port: int, *, open_it: bool, as_json: bool, options: dict[str, Any]
) -> None:
    from pegboard.errors import require_extra

    for module in ("fastapi", "uvicorn"):
        require_extra(module, "review")
    from pegboard.review.opening import open_review
    from pegboard.review.server import ReviewServer
    from pegboard.web import open_browser

    opened = open_review(target, **options)
    server = ReviewServer(opened.review, port, opened.next_commands)
    for note in opened.notes:
        tell(f"note: {note}")
    tell(f"{len(opened.review.open_numbers())} photos to decide about: {server.address}")
    tell("Ctrl-C ends the review; every decision is saved at once")
    server.run(ready=(lambda: open_browser(server.address)) if open_it else None)
    _tell_end(opened, as_json)


def _tell_end(opened: Any, as_json: bool) -> None:
    review = opened.review
    left = len(review.open_numbers())
    if as_json:
        file = str(review.log.path)
        show_json({"decisions": review.decisions, "left": left, "corrections": file})
        return
    decisions = f"{review.decisions} decision{'' if review.decisions == 1 else 's'}"
    if review.log.path.exists():
        show(f"{decisions} in this session, {left} photos left; all are in {review.log.path}")
        show(f"Next:   {opened.next_commands[0]}")
    else:
        show(f"{decisions} in this session, {left} photos left")


def _merge(files: tuple[str, ...], out: Path, as_json: bool) -> None:
    from pegboard.review.together import merge_files

    told = merge_files([Path(file) for file in files], out)
    if as_json:
        show_json(told.to_json())
        return
    for line in told.lines():
        show(line)


@click.command("apply")
@click.argument("source")
@click.option(
    "--corrections",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The decisions, as `pegboard review` writes them.",
)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder for the cleaned photos; new or empty, and not inside SOURCE.",
)
@click.option("--copy", "how", flag_value="copy", default="copy", help="Copy files (default).")
@click.option("--link", "how", flag_value="link", help="Hard links: no space, the same files.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@class_options
@column_options
@threads_option
@common_options
def apply_command(
    source: str, as_json: bool, progress: bool | None, debug: bool, **options: Any
) -> None:
    """Write a cleaned copy of SOURCE as class folders; SOURCE itself is never changed.

    \b
    pegboard apply photos/ --corrections pegboard-check/corrections.csv --to photos-clean
    """
    from pegboard.cleaning import apply_to_folder

    options["merge"] = parse_merge(options["merge"])
    done = apply_to_folder(source, progress=progress_for(progress), **options)
    if as_json:
        show_json(done.to_json())
        return
    for line in done.lines():
        show(line)
    if not done.dry_run:
        show(f"Next:   {shlex.join(['pegboard', 'compare', str(done.folder)])}")
