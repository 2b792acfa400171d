"""``export``, ``verify`` and ``predict``: a trained model in use."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from pegboard.cli.options import (
    common_options,
    debug_option,
    json_option,
    progress_for,
    threads_option,
)
from pegboard.cli.output import show, show_json, tell


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("model")
@click.option(
    "--to",
    type=click.Choice(["pegboard", "pegboard-int8", "onnx", "onnx-int8"]),
    default="pegboard",
    show_default=True,
    help="Format.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="File to write.")
@click.option(
    "--force", is_flag=True, help="Replace FILE if it exists; write INT8 whatever it loses."
)
@click.option(
    "--wrong-at-most",
    type=float,
    metavar="SHARE",
    help="Call an answer sure where at most SHARE are wrong, as .02.",
)
@click.option(
    "--with-neighbours",
    is_flag=True,
    help="Put small pictures of training photos into the file, to show those most like a photo.",
)
@json_option
@debug_option
def export_command(
    run: Path,
    model: str,
    to: str,
    out: Path | None,
    force: bool,
    wrong_at_most: float | None,
    with_neighbours: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Write MODEL of RUN as one file to use elsewhere.

    INT8 is calibrated on the run's training photos and proved on its test photos, which must
    still be there; it is refused when it loses more than one point of macro-F1.
    """
    from pegboard.release import export_model

    path = export_model(
        run,
        model,
        to,
        out,
        force=force,
        wrong_at_most=wrong_at_most,
        neighbours=with_neighbours,
        progress=progress_for(None),
    )
    show_json({"file": str(path)}) if as_json else show(str(path))


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--on", metavar="FOLDER", help="Also measure accuracy on these labelled photos.")
@threads_option
@json_option
@debug_option
def verify_command(
    bundle: Path, on: str | None, threads: int | None, as_json: bool, debug: bool
) -> None:
    """Check that BUNDLE is whole and answers as the trained model did (exit 3 if not)."""
    from pegboard.verify import verify_bundle

    verification = verify_bundle(bundle, on, threads=threads)
    if as_json:
        show_json(verification.to_json())
        return
    for line in verification.lines():
        show(line)


@click.command("predict")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1, metavar="PATH…")
@click.option("--files-from", metavar="FILE", help="A file with one path per line ('-': stdin).")
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Candidates per photo.",
)
@click.option(
    "--sets",
    type=float,
    metavar="COVERAGE",
    help="Also say which classes are left open: the right one is among them for this share.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "json", "jsonl", "csv", "parquet"]),
    help="Output (default: table; with --out, as FILE's name ends).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the rows to FILE, whole or not at all.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="With --out or --sort-into: go on where a stopped command ended; with --sort-into, also "
    "keep the answers until the photos are sorted.",
)
@click.option("--overwrite", is_flag=True, help="With --out: replace FILE.")
@click.option(
    "--sort-into",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Put the photos into DIR/CLASS/; without --yes, only say what would be done.",
)
@click.option("--yes", is_flag=True, help="With --sort-into: do it.")
@click.option(
    "--copy/--link",
    "copy",
    default=True,
    show_default=True,
    help="With --sort-into: copy the photos, or make hard links.",
)
@click.option(
    "--unsure",
    type=click.Choice(["apart", "leave", "sort"]),
    default="apart",
    show_default=True,
    help="With --sort-into: photos the model is not sure of go into folders of their own, stay "
    "where they are, or go to the likeliest class.",
)
@click.option("--strict", is_flag=True, help="Exit 1 if any photo could not be used.")
@threads_option
@common_options
def predict_command(
    bundle: Path,
    paths: tuple[str, ...],
    files_from: str | None,
    top: int,
    sets: float | None,
    kind: str | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    sort_into: Path | None,
    yes: bool,
    copy: bool,
    unsure: Any,
    strict: bool,
    threads: int | None,
    as_json: bool,
    progress: bool | None,
    debug: bool,
) -> int:
    """Say what is on photos. PATH is a file, a folder, or - for one image on standard input."""
    from pegboard.answers import Named, predict_files, predict_to_file, summary
    from pegboard.predict import Predictor

    _check_together(out, sort_into, resume=resume, overwrite=overwrite, yes=yes)
    _check_form(out, sort_into, kind, sets, as_json=as_json)
    predictor = Predictor.load(bundle, threads=threads, sets=sets)
    named = Named(paths, files_from)
    if sort_into is not None:
        tally = _sort(
            predictor, named, sort_into, model=bundle if resume else None,
            how="copy" if copy else "link", unsure=unsure, yes=yes, as_json=as_json, bars=progress,
        )  # fmt: skip
    elif out is not None:
        tally = predict_to_file(
            predictor, named, out,
            model=bundle, kind=kind, top=top, resume=resume, overwrite=overwrite,
            progress=progress_for(progress),
        )  # fmt: skip
        _tell_file(summary(out, tally), as_json)
    else:
        kind = kind or ("json" if as_json else "table")
        is_shown = _may_show_bars(kind) if progress is None else progress
        tally = predict_files(
            predictor, named, sys.stdout.buffer,
            top=top, kind=kind, progress=progress_for(True) if is_shown else None,
        )  # fmt: skip
    complaint = tally.complaint(strict=strict)
    if complaint:
        tell(complaint)
    code: int = tally.exit_code(strict=strict)
    return code


def _check_together(
    out: Path | None, sort_into: Path | None, *, resume: bool, overwrite: bool, yes: bool
) -> None:
    if out is None and overwrite:
        raise click.UsageError("--overwrite goes with --out FILE")
    if out is None and sort_into is None and resume:
        raise click.UsageError("--resume goes with --out FILE or --sort-into DIR")
    if sort_into is None and yes:
        raise click.UsageError("--yes goes with --sort-into DIR")
    if sort_into is not None and out is not None:
        raise click.UsageError("--sort-into and --out exclude each other; give one of them")


def _check_form(
    out: Path | None, sort_into: Path | None, kind: Any, sets: float | None, *, as_json: bool
) -> None:
    if sort_into is not None and kind is not None:
        raise click.UsageError("--sort-into writes no rows, so it takes no --format")
    if sort_into is not None and sets is not None:
        raise click.UsageError("--sort-into puts a photo into one folder, so it takes no --sets")
    if out is None and as_json and kind not in (None, "json"):
        raise click.UsageError(f"--json and --format {kind} exclude each other; give one of them")


def _may_show_bars(kind: str) -> bool:
    """Whether there is a terminal, on which bars and rows will not mix."""
    return sys.stderr.isatty() and (kind == "table" or not sys.stdout.isatty())


def _tell_file(data: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(data)
        return
    show(f"{data['file']}: {data['classified']} classified, {data['failed']} could not be used")


def _sort(
    predictor: Any,
    named: Any,
    folder: Path,
    *,
    model: Path | None,
    how: Any,
    unsure: Any,
    yes: bool,
    as_json: bool,
    bars: bool | None,
) -> Any:
    """Plan, and do it with ``yes``; with a model's file, answers are kept until it is done."""
    from pegboard.rows import Tally
    from pegboard.sorting import carry_out, check_folder, check_free, plan_sorting, resumed

    progress, tally = progress_for(bars), Tally()
    check_folder(folder, named.arguments)
    with _answers(predictor, named, folder, model, progress) as (kept, rows):
        plan = plan_sorting(tally.count(rows), folder, predictor.info.classes, unsure)
        plan = plan if kept is None else resumed(plan)
        if not yes:
            check_free(plan)
            _show_plan(plan, None if kept is None else kept.path, as_json)
            return tally
        plan, log = carry_out(plan, how, progress)
        if kept is not None:
            kept.remove()
    data = plan.to_json() | {"dry_run": False, "log": str(log)}
    show_json(data) if as_json else show(f"{plan.text()}\nWhat went where: {log}")
    return tally


def _answers(
    predictor: Any, named: Any, folder: Path, model: Path | None, progress: Any
) -> AbstractContextManager[tuple[Any, Any]]:
    """Return what is kept, if anything is to be, and the answers."""
    from pegboard.answers import answers_to, resumed_answers

    if model is None:
        return nullcontext((None, answers_to(predictor, named, 1, progress)))
    return resumed_answers(predictor, named, folder, model=model, progress=progress)


def _show_plan(plan: Any, kept: Path | None, as_json: bool) -> None:
    if as_json:
        show_json(plan.to_json() | {"dry_run": True, "kept": kept and str(kept)})
        return
    written = "Nothing was written" if kept is None else f"Only the answers were kept, in {kept}"
    show(f"{plan.text()}\n{written}; add --yes to do it.")
