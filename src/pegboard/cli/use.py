"""``export``, ``verify`` and ``predict``: a trained model in use."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pegboard.cli.options import debug_option, json_option, progress_for, threads_option
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
    help="Call an answer sure where at most SHARE of the validation answers were wrong, as .02.",
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
    "--top", type=click.IntRange(min=1), default=3, show_default=True, help="Candidates per photo."
)
@click.option(
    "--format",
    "kind",
    default="table",
    show_default=True,
    type=click.Choice(["table", "json", "jsonl", "csv", "parquet"]),
    help="Output.",
)
@click.option("--strict", is_flag=True, help="Exit 1 if any photo could not be used.")
@threads_option
@json_option
@debug_option
def predict_command(
    bundle: Path,
    paths: tuple[str, ...],
    files_from: str | None,
    top: int,
    kind: str,
    strict: bool,
    threads: int | None,
    as_json: bool,
    debug: bool,
) -> int:
    """Say what is on photos. PATH is a file, a folder, or - for one image on standard input."""
    from pegboard.predict import Predictor, predict_files

    tally = predict_files(
        Predictor.load(bundle, threads=threads),
        paths,
        sys.stdout.buffer,
        files_from=files_from,
        top=top,
        kind="json" if as_json else kind,
    )
    complaint = tally.complaint(strict=strict)
    if complaint:
        tell(complaint)
    return tally.exit_code(strict=strict)
