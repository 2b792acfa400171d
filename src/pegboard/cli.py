"""The command line: parse, one call, print.

Every command imports what it needs when it runs, so ``--help`` stays fast.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from pegboard import __version__
from pegboard.errors import Interrupted, PegboardError

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_USER_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code. The program ``pegboard``."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run a command; return its exit code. Errors become one line on standard error."""
    debug = "--debug" in arguments
    try:
        result = cli.main(
            arguments, prog_name="pegboard", standalone_mode=False, obj=time.monotonic()
        )
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as stop:
        _tell(_how_to_go_on(stop.__cause__, arguments))
        return EXIT_INTERRUPTED
    except ReaderGone:
        return _closed_pipe()
    except Exception as error:
        if debug:
            raise
        _tell(_in_words(error))
        return error.exit_code if isinstance(error, PegboardError) else EXIT_USER_ERROR
    return result if isinstance(result, int) else 0


def _in_words(error: Exception) -> str:
    if isinstance(error, PegboardError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    if _is_about_memory(error):
        return "not enough memory; try a smaller --batch-size, --image-size or model"
    return (
        f"something went wrong inside pegboard ({type(error).__name__}: {error}); "
        "run the command again with --debug and report what it prints"
    ).replace("\n", " ")


def _is_about_memory(error: Exception) -> bool:
    # PyTorch raises a RuntimeError, with other words on each device.
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in words)
    )


def _how_to_go_on(stop: BaseException | None, arguments: list[str]) -> str:
    if not isinstance(stop, Interrupted):
        return "stopped"
    if arguments[:1] != ["compare"]:
        return str(stop)
    again = [argument for argument in arguments if argument not in ("--resume", "--overwrite")]
    if not any(argument.split("=")[0] == "--out" for argument in again):
        again += ["--out", str(stop.folder)]
    return f"{stop}; go on with: {shlex.join(['pegboard', *again, '--resume'])}"


def _tell(text: str) -> None:
    # One line whatever a file name holds; a terminal that cannot show a character gets "?".
    encoding = sys.stderr.encoding or "utf-8"
    line = f"pegboard: {text}".replace("\n", " ")
    with suppress(OSError):
        click.echo(line.encode(encoding, "replace").decode(encoding), err=True)


def _closed_pipe() -> int:
    """Leave quietly: without this, Python would complain when it flushes at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _print(text: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding))


def _print_json(data: Any) -> None:
    from pegboard.runs import json_text

    click.echo(json_text(data))


# --- options that several commands share ---------------------------------------------------


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
_debug = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
_bars = click.option(
    "--progress/--no-progress", default=None, help="Show progress bars (default: on a terminal)."
)
_seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of training.")
_device = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto",
    show_default=True, help="Where to train.",
)  # fmt: skip
_threads = click.option("--threads", type=click.IntRange(min=1), help="Threads (default: cores).")
_common = _together(_json, _bars, _debug)

_columns = _together(
    click.option("--path-column", default="path", show_default=True, help="Manifest: file."),
    click.option("--label-column", default="label", show_default=True, help="Manifest: class."),
    click.option("--split-column", default="split", show_default=True, help="Manifest: split."),
    click.option("--group-column", default="group", show_default=True,
                 help="Manifest: photos that belong together."),
)  # fmt: skip
_classes = _together(
    click.option("--merge", multiple=True, metavar="FROM=INTO", help="Put one class into another."),
    click.option("--exclude-class", multiple=True, metavar="NAME", help="Leave a class out."),
)
_splitting = _together(
    click.option("--fractions", metavar="A,B,C",
                 help="Shares of train, validation and test (default: .7,.15,.15)."),
    click.option("--split-seed", type=int, default=0, show_default=True, help="Seed of the split."),
    click.option("--previous", metavar="MANIFEST",
                 help="Keep the split of this manifest (default: the last run of SOURCE; "
                 "'none': keep nothing)."),
    click.option("--allow-leaks", is_flag=True,
                 help="Go on although given splits share photos."),
)  # fmt: skip
_training = _together(
    click.option(
        "--models",
        metavar="A,B,…",
        help="Models to compare; see `pegboard models`. Default: probe,efficientnet_lite0; "
        "lm,cnn,fastcnn for pictures of up to 64 px.",
    ),
    click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True,
                 help="Train every model with this many seeds."),
    click.option("--folds", type=int, help="Grouped cross-validation, for small data sets."),
    click.option("--epochs", type=int, help="Passes over the photos (default: the recipe's)."),
    click.option("--batch-size", type=int, help="Photos per step (default: the recipe's)."),
    click.option("--learning-rate", type=float, help="Peak rate (default: the recipe's)."),
    click.option("--image-size", type=int, help="Side in pixels (default: the model's)."),
    click.option("--fit", type=click.Choice(["auto", "crop", "letterbox", "squash"]),
                 default="auto", show_default=True, help="How photos are brought to size."),
    click.option("--recipe", type=click.Choice(["default", "notebook"]), default="default",
                 show_default=True, help="How models are trained."),
    click.option("--weights", multiple=True, metavar="NAME=FILE[,pad=same][,mean=…][,std=…]",
                 help="Pretrained weights of a backbone (safetensors)."),
    click.option("--budget", metavar="10m", help="Wall time for everything, such as 90s or 10m."),
)  # fmt: skip


def _progress(bars: bool | None) -> Any:
    from pegboard.progress import RichProgress

    return RichProgress(bars=bars)


def _settings(source: str, **options: Any) -> Any:
    """Turn command-line values into settings; only what was given replaces a default."""
    from pegboard.budget import parse_duration
    from pegboard.settings import CompareSettings
    from pegboard.split import parse_fractions

    options["merge"] = _parse_merge(options.get("merge", ()))
    if options.get("budget") is not None:
        options["budget"] = parse_duration(options["budget"])
    if options.get("fractions") is not None:
        options["fractions"] = parse_fractions(options["fractions"])
    given = {key: value for key, value in options.items() if value is not None}
    return CompareSettings(source=source, **given)


def _parse_merge(texts: Sequence[str]) -> dict[str, str]:
    merge = {}
    for text in texts:
        before, equals, into = text.partition("=")
        if not equals or not before or not into:
            raise PegboardError(
                f"--merge: expected FROM=INTO, such as Pebbels=pebbles, got {text!r}"
            )
        merge[before] = into
    return merge


# --- commands ------------------------------------------------------------------------------


class ReaderGone(Exception):
    """Whoever read our output (``| head``) has closed it."""


class InOrder(click.Group):
    """Lists commands in the order of the work, not of the alphabet."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an output closed by its reader gets a name that click leaves alone."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error
        except SystemExit as leave:  # what rich makes of it
            if isinstance(leave.__context__, BrokenPipeError):
                raise ReaderGone from leave
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they were added."""
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="pegboard")
@click.option("--debug", is_flag=True, hidden=True)
def cli(debug: bool) -> None:
    """From a folder of labelled photos to a classifier you can trust and ship.

    Start with `pegboard demo`, then `pegboard compare FOLDER`, where FOLDER holds one folder
    of photos per class.
    """


@cli.command("compare")
@click.argument("source")
@_training
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Run folder (default: pegboard-runs/SOURCE-DATE-TIME).",
)
@click.option(
    "--corrections",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Corrections of labels to apply.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier run in RUN.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would take.")
@_splitting
@_classes
@_columns
@_seed
@_device
@_threads
@_common
def compare_command(
    source: str, as_json: bool, progress: bool | None, debug: bool, dry_run: bool, **options: Any
) -> None:
    r"""Train several models on SOURCE and compare them honestly.

    SOURCE is a folder of class folders, a tree with train/ and test/, a CSV, TSV or Parquet
    manifest, a CSV of pixels, a folder of IDX files, an npz, a zip or tar of class folders,
    or a name (digits; mnist, fashion-mnist and cifar10 are downloaded).

    \b
    pegboard compare photos/
    pegboard compare photos/ --models cnn4,probe,efficientnet_lite0 --budget 10m
    """
    _compare(_settings(source, **options), as_json, progress, dry_run=dry_run)


@cli.command("demo")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train every model with this many seeds.",
)
@_seed
@_threads
@_common
def demo_command(as_json: bool, progress: bool | None, debug: bool, **options: Any) -> None:
    """Do the main job on the built-in digits: no data to bring, no network.

    Writes pegboard-demo/, replacing an earlier one.
    """
    from pegboard.runs import RunFolder
    from pegboard.settings import DEMO_MODELS

    out = Path("pegboard-demo")
    settings = _settings(
        "digits",
        models=DEMO_MODELS,
        out=out,
        overwrite=RunFolder(out).is_ours(),
        previous="none",
        **options,
    )
    _compare(settings, as_json, progress, try_predict=True)


def _compare(
    settings: Any,
    as_json: bool,
    bars: bool | None,
    *,
    dry_run: bool = False,
    try_predict: bool = False,
) -> None:
    from pegboard.errors import require_extra

    require_extra("torch", "train")
    if dry_run:
        from pegboard.dryrun import dry_run as rehearse

        estimate = rehearse(settings, progress=_progress(bars))
        _print_json(estimate.to_json()) if as_json else _print(estimate.text())
        return
    from pegboard.pipeline import compare

    folder, leaderboard = compare(
        settings,
        command=shlex.join(["pegboard", *sys.argv[1:]]),
        progress=_progress(bars),
        started=click.get_current_context().obj,
    )
    data = leaderboard.to_json()
    if as_json:
        _print_json(data | {"run": str(folder.path)})
        return
    _show(folder, data)
    if try_predict:
        _suggest_prediction(folder, data)


def _show(folder: Any, leaderboard: dict[str, Any]) -> None:
    from rich.console import Console

    from pegboard.table import print_leaderboard
    from pegboard.words import summary

    print_leaderboard(Console(highlight=False), leaderboard)
    for sentence in summary(leaderboard):
        _print(sentence)
    _print(f"\nReport: {folder.report}")


def _suggest_prediction(folder: Any, leaderboard: dict[str, Any]) -> None:
    """Write one test picture and say how to ask the best model about it."""
    from pegboard.demo import write_example
    from pegboard.models.registry import parse_model_name

    model = folder.model(parse_model_name(leaderboard["best"]).slug)
    picture = write_example(folder)
    _print("Try:    " + shlex.join(["pegboard", "predict", str(model.bundle), str(picture)]))


@cli.command("split")
@click.argument("source", required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="manifest.csv",
    help="Write the manifest here (default: standard output).",
)
@click.option(
    "--to-folders",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also copy the photos into DIR/train|validation|test/CLASS.",
)
@click.option(
    "--verify",
    type=click.Path(path_type=Path),
    metavar="MANIFEST",
    help="Check a given split for leaks: exit 0 clean, 3 leaks.",
)
@_splitting
@_classes
@_columns
@_threads
@_common
def split_command(
    source: str | None,
    out: Path | None,
    to_folders: Path | None,
    verify: Path | None,
    as_json: bool,
    progress: bool | None,
    debug: bool,
    **options: Any,
) -> int:
    """Split SOURCE into train, validation and test without leaks, or verify a split."""
    from pegboard.splitting import split_source, verify_split

    if (source is None) == (verify is None):
        raise click.UsageError("give either SOURCE or --verify MANIFEST")
    if verify is not None:
        columns = {key: value for key, value in options.items() if key.endswith("_column")}
        text, data, code = verify_split(verify, columns, progress=_progress(progress))
        _print_json(data) if as_json else _print(text)
        return code
    assert source is not None
    settings = _settings(source, **options)
    text, data = split_source(settings, out, to_folders, progress=_progress(progress))
    _print_json(data) if as_json else click.echo(text, nl=False)
    return 0


@cli.command("models")
@click.option("--describe", metavar="NAME", help="Show the layers of a model.")
@click.option("--image-size", type=click.IntRange(min=1), help="Side in pixels.")
@click.option(
    "--classes",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="Number of classes.",
)
@click.option("--channels", type=click.Choice(["1", "3"]), help="1 for grey, 3 for colour.")
@_json
@_debug
def models_command(
    describe: str | None,
    image_size: int | None,
    classes: int,
    channels: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """List the models, or show the layers of one with output shapes and parameters."""
    from pegboard.describe import describe_model, list_models

    if describe is None:
        text, data = list_models()
    else:
        text, data = describe_model(
            describe, image_size=image_size, classes=classes,
            channels=int(channels) if channels else None,
        )  # fmt: skip
    _print_json(data) if as_json else _print(text)


@cli.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@_json
@_debug
def report_command(run: Path, as_json: bool, debug: bool) -> None:
    """Make the report of RUN again."""
    from pegboard.report import write_report

    path = write_report(run)
    _print_json({"report": str(path)}) if as_json else _print(str(path))


@cli.command("export")
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
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@_json
@_debug
def export_command(
    run: Path, model: str, to: str, out: Path | None, force: bool, as_json: bool, debug: bool
) -> None:
    """Write MODEL of RUN as one file to use elsewhere."""
    from pegboard.bundle import export_model

    path = export_model(run, model, to, out, force=force)
    _print_json({"file": str(path)}) if as_json else _print(str(path))


@cli.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--on", metavar="FOLDER", help="Also measure accuracy on these labelled photos.")
@_threads
@_json
@_debug
def verify_command(
    bundle: Path, on: str | None, threads: int | None, as_json: bool, debug: bool
) -> None:
    """Check that BUNDLE is whole and answers as the trained model did (exit 3 if not)."""
    from pegboard.verify import verify_bundle

    verification = verify_bundle(bundle, on, threads=threads)
    if as_json:
        _print_json(verification.to_json())
        return
    for line in verification.lines():
        _print(line)


@cli.command("predict")
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
@_threads
@_json
@_debug
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
        _tell(complaint)
    return tally.exit_code(strict=strict)


if __name__ == "__main__":
    main()
