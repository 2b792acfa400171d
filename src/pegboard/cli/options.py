"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from pegboard.errors import PegboardError

Command = TypeVar("Command", bound=Callable[..., Any])


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
debug_option = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
progress_option = click.option(
    "--progress/--no-progress", default=None, help="Show progress bars (default: on a terminal)."
)
seed_option = click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of training."
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto",
    show_default=True, help="Where to train.",
)  # fmt: skip
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="Threads (default: OMP_NUM_THREADS, else cores)."
)
common_options = _together(json_option, progress_option, debug_option)

column_options = _together(
    click.option("--path-column", default="path", show_default=True, help="Manifest: file."),
    click.option("--label-column", default="label", show_default=True, help="Manifest: class."),
    click.option("--split-column", default="split", show_default=True, help="Manifest: split."),
    click.option("--group-column", default="group", show_default=True,
                 help="Manifest: photos that belong together."),
)  # fmt: skip
class_options = _together(
    click.option("--merge", multiple=True, metavar="FROM=INTO", help="Put one class into another."),
    click.option("--exclude-class", multiple=True, metavar="NAME", help="Leave a class out."),
)
split_options = _together(
    click.option("--fractions", metavar="A,B,C",
                 help="Shares of train, validation and test (default: .7,.15,.15)."),
    click.option("--split-seed", type=int, default=0, show_default=True, help="Seed of the split."),
    click.option("--previous", metavar="MANIFEST",
                 help="Keep the split of this manifest (default: the last run of SOURCE; "
                 "'none': keep nothing)."),
    click.option("--allow-leaks", is_flag=True,
                 help="Go on although given splits share photos."),
)  # fmt: skip
training_options = _together(
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
    click.option("--recipe", type=click.Choice(["default", "thorough", "robust", "notebook"]),
                 default="default", show_default=True,
                 help="How models are trained: thorough takes several times as long, robust is for "
                      "photos that others take elsewhere."),
    click.option("--weights", multiple=True, metavar="NAME=FILE[,pad=same][,mean=…][,std=…]",
                 help="Pretrained weights of a backbone (safetensors)."),
    click.option("--wrong-at-most", type=float, metavar="SHARE",
                 help="Call an answer sure where at most SHARE are wrong, as .02 (default: .05)."),
    click.option("--budget", metavar="10m", help="Wall time for everything, such as 90s or 10m."),
)  # fmt: skip


def progress_for(bars: bool | None) -> Any:
    """Return bars and messages; None shows bars on a terminal only."""
    from pegboard.progress import RichProgress

    return RichProgress(bars=bars)


def settings_from(source: str, **options: Any) -> Any:
    """Turn command-line values into settings; only what was given replaces a default."""
    from pegboard.budget import parse_duration
    from pegboard.settings import CompareSettings
    from pegboard.split import parse_fractions

    options["merge"] = parse_merge(options.get("merge", ()))
    if options.get("budget") is not None:
        options["budget"] = parse_duration(options["budget"])
    if options.get("fractions") is not None:
        options["fractions"] = parse_fractions(options["fractions"])
    given = {key: value for key, value in options.items() if value is not None}
    return CompareSettings(source=source, **given)


def parse_merge(texts: Sequence[str]) -> dict[str, str]:
    """Return the classes of ``--merge FROM=INTO``, as typed."""
    merge = {}
    for text in texts:
        before, equals, into = text.partition("=")
        if not equals or not before or not into:
            raise PegboardError(
                f"--merge: expected FROM=INTO, such as Pebbels=pebbles, got {text!r}"
            )
        merge[before] = into
    return merge
