"""Every figure of a run as a method: ``run.plots.confusion_matrix()``.

Each returns a matplotlib figure that a notebook displays by itself and that can be saved
(``figure.savefig("confusion.svg")``), or raises PlotUnavailable with the reason. ``model`` is a
name of ``run.models``; by default the best one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pegboard.errors import require_extra
from pegboard.frames import chosen
from pegboard.report.run import Run

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.figure import Figure


class Plots:
    """The figures of one run; see :mod:`pegboard.plots`."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def class_balance(self) -> Figure:
        """Photos of each class in each split."""
        return self._draw("class_balance")

    def sample_grid(self) -> Figure:
        """Show some training photos of every class."""
        return self._draw("sample_grid")

    def augmentation_preview(self, model: str | None = None) -> Figure:
        """Show some training photos as the model met them, again and again."""
        return self._draw("augmentation_preview", model=model)

    def learning_curves(self, model: str | None = None) -> Figure:
        """Loss, accuracy and macro-F1 after each epoch, training and validation."""
        return self._draw("learning_curves", model=model)

    def all_learning_curves(self) -> Figure:
        """Learning curves of all models on one scale."""
        return self._draw("all_learning_curves")

    def accuracy_bars(self) -> Figure:
        """Accuracy of every model with its 95 % interval."""
        return self._draw("accuracy_bars")

    def pareto(self) -> Figure:
        """Accuracy of every model against the time one photo takes."""
        return self._draw("pareto")

    def confusion_matrix(
        self, model: str | None = None, order: Literal["given", "similarity"] = "given"
    ) -> Figure:
        """Which classes are taken for which; ``order="similarity"`` puts such side by side."""
        return self._draw("confusion_matrix", model=model, order=order)

    def per_class_f1(self, model: str | None = None) -> Figure:
        """F1 of every class with its 95 % interval."""
        return self._draw("per_class_f1", model=model)

    def reliability(self, model: str | None = None) -> Figure:
        """Whether answers given with a probability of 80 % are right in 80 % of cases."""
        return self._draw("reliability", model=model)

    def coverage_risk(self, model: str | None = None) -> Figure:
        """How often answers are wrong when only the surest are given."""
        return self._draw("coverage_risk", model=model)

    def precision_recall(self, model: str | None = None) -> Figure:
        """Precision against recall of every class, over all thresholds."""
        return self._draw("precision_recall", model=model)

    def roc(self, model: str | None = None) -> Figure:
        """Draw true against false positive rate of every class, over all thresholds."""
        return self._draw("roc", model=model)

    def mistakes(self, model: str | None = None) -> Figure:
        """Test photos the model was wrong about, those it was surest of first."""
        return self._draw("mistakes", model=model)

    def _draw(self, name: str, **options: str | None) -> Figure:
        if "model" in options:
            options["model"] = chosen(self._run, options["model"])
        figure: Figure = getattr(_figures(), name)(self._run, **options)
        return figure

    def __repr__(self) -> str:
        names = ", ".join(name for name in vars(type(self)) if not name.startswith("_"))
        return f"<plots: {names}>"


def _figures() -> ModuleType:
    require_extra("matplotlib", "notebook")
    from pegboard.report import figures  # noqa: PLC0415  (loads matplotlib)

    return figures
