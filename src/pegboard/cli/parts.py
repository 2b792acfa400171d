"""``split`` and ``models``: parts of the main job on their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pegboard.cli.options import (
    class_options,
    column_options,
    common_options,
    debug_option,
    json_option,
    progress_for,
    settings_from,
    split_options,
    threads_option,
)
from pegboard.cli.output import show, show_json


@click.command("split")
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
@split_options
@class_options
@column_options
@threads_option
@common_options
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
        text, data, code = verify_split(verify, columns, progress=progress_for(progress))
        show_json(data) if as_json else show(text)
        return code
    assert source is not None
    settings = settings_from(source, **options)
    text, data = split_source(settings, out, to_folders, progress=progress_for(progress))
    show_json(data) if as_json else click.echo(text, nl=False)
    return 0


@click.command("models")
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
@json_option
@debug_option
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
    show_json(data) if as_json else show(text)
