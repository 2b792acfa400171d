"""``report`` and ``runs``: what becomes of runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pegboard.cli.options import debug_option, json_option
from pegboard.cli.output import show, show_json
from pegboard.errors import PegboardError


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@json_option
@debug_option
def report_command(run: Path, as_json: bool, debug: bool) -> None:
    """Make the report of RUN again."""
    from pegboard.history import find_run
    from pegboard.report import write_report

    path = write_report(find_run(str(run)).path)
    show_json({"report": str(path)}) if as_json else show(str(path))


_base_option = click.option(
    "--in",
    "base",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder of run folders (default: pegboard-runs/).",
)


def _base(given: Path | None) -> Path:
    """Return the folder of runs: of this command, else as given before its name."""
    from pegboard.runs import RUNS

    parent = click.get_current_context().parent
    before = parent.params.get("base") if parent is not None else None
    return given or before or RUNS


def _wants_json(given: bool) -> bool:
    parent = click.get_current_context().parent
    return given or bool(parent is not None and parent.params.get("as_json"))


@click.group("runs", invoke_without_command=True)
@_base_option
@json_option
@debug_option
@click.pass_context
def runs_group(context: click.Context, base: Path | None, as_json: bool, debug: bool) -> None:
    """List runs, compare two, or remove some. Alone, it lists them."""
    if context.invoked_subcommand is None:
        _list(_base(base), as_json)


@runs_group.command("list")
@_base_option
@json_option
@debug_option
def list_command(base: Path | None, as_json: bool, debug: bool) -> None:
    """List the runs in pegboard-runs/, newest first."""
    _list(_base(base), _wants_json(as_json))


def _list(base: Path, as_json: bool) -> None:
    from pegboard.history import list_runs
    from pegboard.history.listing import print_runs

    entries = list_runs(base)
    if as_json:
        show_json({"in": str(base), "runs": [entry.to_json() for entry in entries]})
    else:
        print_runs(entries, base)


@runs_group.command("compare")
@click.argument("a")
@click.argument("b")
@_base_option
@json_option
@debug_option
def compare_runs_command(a: str, b: str, base: Path | None, as_json: bool, debug: bool) -> None:
    """Say what changed from run A to run B, and whether the difference is real.

    A and B are run folders, names of runs in pegboard-runs/, or the start of a name.
    """
    from pegboard.history import compare_runs, find_run
    from pegboard.history.telling import print_comparison

    folder = _base(base)
    comparison = compare_runs(find_run(a, folder), find_run(b, folder))
    if _wants_json(as_json):
        show_json(comparison.to_json())
    else:
        print_comparison(comparison)


@runs_group.command("remove")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@_base_option
@json_option
@debug_option
def remove_command(
    runs: tuple[str, ...], yes: bool, dry_run: bool, base: Path | None, as_json: bool, debug: bool
) -> None:
    """Remove what the runs named wrote; anything else in their folders stays."""
    from pegboard.history import find_run, plan_removal, remove_runs
    from pegboard.history.listing import removal_lines
    from pegboard.table import size

    folder, as_json = _base(base), _wants_json(as_json)
    removals = plan_removal(find_run(text, folder) for text in runs)
    for line in removal_lines(removals):
        click.echo(line, err=True)
    done = not dry_run and (yes or _confirmed())
    if done:
        remove_runs(removals)
    size_bytes = sum(removal.size_bytes for removal in removals)
    if as_json:
        told = [removal.to_json() for removal in removals]
        show_json({"removed": done, "size_bytes": size_bytes, "runs": told})
    else:
        show(f"{size(size_bytes)} freed" if done else f"nothing removed; {size(size_bytes)} in all")


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise PegboardError(
            "nothing was removed: there is no terminal to ask on; give --yes to remove without "
            "being asked, or --dry-run to see what would be removed"
        )
    return click.confirm("Remove this?", err=True)
