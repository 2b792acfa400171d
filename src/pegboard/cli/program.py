"""The program ``pegboard``: its commands, and errors as exit codes."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from pegboard import __version__
from pegboard.cli.check import check_command
from pegboard.cli.compare import compare_command, demo_command
from pegboard.cli.examples import example_photos_command
from pegboard.cli.output import tell
from pegboard.cli.parts import models_command, split_command
from pegboard.cli.review import apply_command, review_command
from pegboard.cli.runs import report_command, runs_group
from pegboard.cli.serve import serve_command
from pegboard.cli.use import export_command, predict_command, verify_command
from pegboard.errors import Interrupted, PegboardError

EXIT_USER_ERROR = 1
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code. The program ``pegboard``."""
    code = run(sys.argv[1:] if arguments is None else list(arguments))
    # Stopped while source text is executed, as in an import that makes a named tuple, Python ends
    # a ``python -m`` by the signal, whatever was made of it since; executing any text forgets it.
    exec("")  # noqa: S102
    sys.exit(code)


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
        tell(_how_to_go_on(stop.__cause__, arguments))
        return EXIT_INTERRUPTED
    except ReaderGone:
        return _closed_pipe()
    except Exception as error:
        if debug:
            raise
        tell(_in_words(error))
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
    has_out = any(argument.split("=")[0] == "--out" for argument in arguments)
    # Rows for a file are gone on with; photos being sorted into folders are not.
    if arguments[:1] != ["compare"] and not (arguments[:1] == ["predict"] and has_out):
        return str(stop)
    again = [argument for argument in arguments if argument not in ("--resume", "--overwrite")]
    if not has_out:
        again += ["--out", str(stop.folder)]
    return f"{stop}; go on with: {shlex.join(['pegboard', *again, '--resume'])}"


def _closed_pipe() -> int:
    """Leave quietly: without this, Python would complain when it flushes at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


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


for command in (
    compare_command,
    demo_command,
    check_command,
    review_command,
    apply_command,
    split_command,
    models_command,
    report_command,
    runs_group,
    export_command,
    verify_command,
    predict_command,
    serve_command,
    example_photos_command,
):
    cli.add_command(command)
