"""``compare`` and ``demo``: the main job."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from pegboard.cli.options import (
    class_options,
    column_options,
    common_options,
    device_option,
    progress_for,
    seed_option,
    settings_from,
    split_options,
    threads_option,
    training_options,
)
from pegboard.cli.output import show, show_json


@click.command("compare")
@click.argument("source")
@training_options
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
    help="Corrections of labels to apply; what they changed is told.",
)
@click.option(
    "--before",
    metavar="RUN|train|none",
    help="With --corrections: the run without them to compare with (default: the last one made "
    "alike; 'train': train the models without them, too).",
)
@click.option(
    "--from",
    "from_bundle",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Go on from this trained model, with new photos or a new class.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier run in RUN.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would take.")
@split_options
@class_options
@column_options
@seed_option
@device_option
@threads_option
@common_options
def compare_command(
    source: str, as_json: bool, progress: bool | None, debug: bool, dry_run: bool, **options: Any
) -> None:
    """Train several models on SOURCE and compare them honestly.

    SOURCE is a folder of class folders, a tree with train/ and test/, a CSV, TSV or Parquet
    manifest, a CSV of pixels, a folder of IDX files, an npz, a zip or tar of class folders,
    or a name (digits; mnist, fashion-mnist and cifar10 are downloaded).

    \b
    pegboard compare photos/
    pegboard compare photos/ --models cnn4,probe,efficientnet_lite0 --budget 10m
    """
    _compare(settings_from(source, **options), as_json, progress, dry_run=dry_run)


@click.command("demo")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train every model with this many seeds.",
)
@seed_option
@threads_option
@common_options
def demo_command(as_json: bool, progress: bool | None, debug: bool, **options: Any) -> None:
    """Do the main job on the built-in digits: no data to bring, no network.

    Writes pegboard-demo/, replacing an earlier one.
    """
    from pegboard.runs import RunFolder
    from pegboard.settings import DEMO_MODELS

    out = Path("pegboard-demo")
    settings = settings_from(
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

        estimate = rehearse(settings, progress=progress_for(bars))
        show_json(estimate.to_json()) if as_json else show(estimate.text())
        return
    from pegboard.pipeline import compare

    folder, leaderboard = compare(
        settings,
        command=shlex.join(["pegboard", *sys.argv[1:]]),
        progress=progress_for(bars),
        started=click.get_current_context().obj,
    )
    data = leaderboard.to_json()
    if as_json:
        show_json(data | {"run": str(folder.path)})
        return
    _show(folder, data)
    if try_predict:
        _suggest_prediction(folder, data)


def _show(folder: Any, leaderboard: dict[str, Any]) -> None:
    from rich.console import Console

    from pegboard.table import print_leaderboard
    from pegboard.words import summary

    print_leaderboard(Console(highlight=False), leaderboard)
    show("")
    for sentence in summary(leaderboard):
        show(sentence)
    show(f"\nReport: {folder.report}")


def _suggest_prediction(folder: Any, leaderboard: dict[str, Any]) -> None:
    """Write one test picture and say how to ask the best model about it."""
    from pegboard.demo import write_example
    from pegboard.models.registry import parse_model_name

    model = folder.model(parse_model_name(leaderboard["best"]).slug)
    picture = write_example(folder)
    show("Try:    " + shlex.join(["pegboard", "predict", str(model.bundle), str(picture)]))
