"""What the user asks of ``compare``: one field per option, one default for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pegboard.errors import PegboardError
from pegboard.inputs import FITS, Fit
from pegboard.recipes import RECIPES, RecipeName

DEFAULT_MODELS = "probe,efficientnet_lite0"
DEFAULT_SMALL_MODELS = "lm,cnn,fastcnn"
DEMO_MODELS = "lm,nn,dnn,dnnd,cnn,dcnn,fastcnn"
DEFAULT_FRACTIONS = (0.7, 0.15, 0.15)
NOTEBOOK_FRACTIONS = (0.6, 0.2, 0.2)


@dataclass(frozen=True)
class CompareSettings:
    """Settings of one comparison.

    Attributes
    ----------
    source
        What the user typed: a folder, file, archive or name.
    models
        Comma-separated model names; None for the small nets on small pictures of one size
        (up to 64 px), else for transfer learning.
    out
        Run folder; None for ``pegboard-runs/SOURCE-YYYYMMDD-HHMMSS``.
    seeds, seed
        Every model is trained with seeds ``seed … seed + seeds - 1``.
    folds
        Grouped cross-validation in place of one split; None for one split.
    epochs, batch_size, learning_rate, image_size
        Replace the recipe's own.
    fit
        How photos are brought to the models' shape; ``auto`` chooses on validation.
    weights
        ``NAME=FILE[,pad=same][,mean=…][,std=…]``, as typed.
    wrong_at_most
        Share of wrong answers among those a model calls sure; None for one in twenty.
    before
        With corrections, the run without them that is compared with: its folder, ``train`` to
        train the models on the labels as they are, too, ``none`` for none; None for the last
        like run of the source.
    from_bundle
        A trained model to go on from; its name is the default of ``models``.
    budget
        Seconds of wall time for the whole command.
    previous
        A manifest whose assignments are kept; ``none`` to keep none; None for the last run
        of the same source with the same split settings.
    merge, exclude_class
        Classes renamed, classes left out.
    """

    source: str
    models: str | None = None
    out: Path | None = None
    seeds: int = 1
    seed: int = 0
    folds: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    image_size: int | None = None
    fit: Fit | Literal["auto"] = "auto"
    recipe: RecipeName = "default"
    weights: tuple[str, ...] = ()
    wrong_at_most: float | None = None
    corrections: Path | None = None
    before: str | None = None
    from_bundle: Path | None = None
    budget: float | None = None
    resume: bool = False
    overwrite: bool = False
    fractions: tuple[float, float, float] | None = None
    split_seed: int = 0
    previous: str | None = None
    allow_leaks: bool = False
    merge: Mapping[str, str] = field(default_factory=dict)
    exclude_class: tuple[str, ...] = ()
    path_column: str = "path"
    label_column: str = "label"
    split_column: str = "split"
    group_column: str = "group"
    device: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("seeds", "epochs", "batch_size", "image_size", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise PegboardError(f"{_option(name)} must be at least 1, got {value}")
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise PegboardError(f"--learning-rate must be above 0, got {self.learning_rate}")
        _check_choice("fit", self.fit, ("auto", *FITS))
        _check_choice("recipe", self.recipe, RECIPES)
        check_wrong_at_most(self.wrong_at_most)
        if self.folds is not None and self.folds < 3:
            raise PegboardError(
                f"--folds must be at least 3 (one fold to test, one to validate), got {self.folds}"
            )
        if self.resume and self.overwrite:
            raise PegboardError("--resume and --overwrite exclude each other; give one of them")
        if self.before is not None and self.corrections is None:
            raise PegboardError(
                "--before says what corrections are compared with; give --corrections FILE, too"
            )
        if self.folds is not None and self.seeds > 1:
            raise PegboardError("--folds and --seeds exclude each other; give one of them")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain = asdict(self)
        return {
            key: str(value) if isinstance(value, Path) else value for key, value in plain.items()
        }

    def deciding(self) -> dict[str, Any]:
        """Return what a resumed run must have in common with the one it goes on with."""
        free = {"out", "resume", "overwrite", "budget", "threads", "previous", "device", "before"}
        data = {key: value for key, value in self.to_json().items() if key not in free}
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in data.items()
        }


def check_wrong_at_most(share: float | None) -> None:
    """Raise PegboardError for a share of wrong answers that nothing could show."""
    if share is not None and not 0 < share < 1:
        raise PegboardError(
            f"--wrong-at-most: expected a share between 0 and 1, such as .02, got {share:g}"
        )


def _check_choice(field_name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise PegboardError(
            f"{_option(field_name)} must be one of {', '.join(choices)}, got {value!r}"
        )


def _option(field_name: str) -> str:
    return "--" + field_name.replace("_", "-")
