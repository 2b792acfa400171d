"""What changed from one run to another, and whether the difference is real.

On test photos that both runs have, with the same label in both, two models are compared as
two models of one run are (:mod:`pegboard.significance`): exact tests and a paired
bootstrap over groups. Runs that share too few test photos are compared as two independent
samples, which shows less, and that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pegboard.errors import RunFolderError
from pegboard.history.changes import (
    DataChange,
    ValueChange,
    data_change,
    machine_changes,
    settings_changes,
    version_changes,
)
from pegboard.history.difference import LEAST_COMMON, Difference, difference, with_p
from pegboard.history.effect import Effect, effect_of_runs
from pegboard.history.entries import RunEntry, read_entry
from pegboard.history.finished import FinishedRun
from pegboard.leaderboard import ModelRow
from pegboard.metrics import DRAWS
from pegboard.runs import RunFolder
from pegboard.significance import holm

OTHER_TASK = (
    f"the runs have other classes and fewer than {LEAST_COMMON} test photos in common, so the "
    "figures belong to two different tasks"
)


@dataclass(frozen=True)
class ModelChange:
    """A model of A and a model of B: all of leaderboard.json, and whether they differ.

    ``difference`` is None where predictions are missing; ``untested`` says why.
    """

    a: ModelRow
    b: ModelRow
    difference: Difference | None
    untested: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "a": _figures(self.a),
            "b": _figures(self.b),
            "difference": asdict(self.difference) if self.difference else None,
            "untested": self.untested,
        }


_FIGURES = (
    "name", "n", "accuracy", "accuracy_ci", "macro_f1", "macro_f1_ci", "loss", "ece", "params",
    "train_seconds", "epochs", "latency_ms_p50", "images_per_second", "size_bytes", "collapsed",
    "seeds", "mean", "sd",
)  # fmt: skip


def _figures(row: ModelRow) -> dict[str, Any]:
    data = row.to_json()
    return {name: data[name] for name in _FIGURES}


@dataclass(frozen=True)
class RunComparison:
    """All that changed from run A to run B.

    Attributes
    ----------
    a, b
        The runs.
    data
        Photos, labels, splits.
    settings, versions, machine
        Values that differ.
    models
        Every model that is in both.
    best
        The best models of the two where they are not the same; None otherwise.
    only_a, only_b
        Names of models of only one.
    effect
        What the corrections of B changed, by the corrected labels; None where B has none that
        A has not.
    """

    a: RunEntry
    b: RunEntry
    data: DataChange
    settings: tuple[ValueChange, ...]
    versions: tuple[ValueChange, ...]
    machine: tuple[ValueChange, ...]
    models: tuple[ModelChange, ...]
    best: ModelChange | None
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    effect: Effect | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "data": self.data.to_json(),
            **{
                name: [asdict(change) for change in getattr(self, name)]
                for name in ("settings", "versions", "machine")
            },
            "models": [change.to_json() for change in self.models],
            "best": self.best.to_json() if self.best else None,
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "effect": self.effect.to_json() if self.effect else None,
        }


def compare_runs(a: RunFolder, b: RunFolder, *, draws: int = DRAWS) -> RunComparison:
    """Say what changed from A to B, and of every model whether the difference is real.

    Raises
    ------
    RunFolderError
        When one of them is not a finished run, or a file of it is damaged.
    SourceError
        When a manifest is damaged.
    """
    before, after = FinishedRun.read(a), FinishedRun.read(b)
    models, models_after = before.models(), after.models()
    pairs = [(row, models_after[name]) for name, row in models.items() if name in models_after]
    best, best_after = models.get(before.board.best or ""), models_after.get(after.board.best or "")
    other_best = best is not None and best_after is not None and best.name != best_after.name
    if best is not None and best_after is not None and other_best:
        pairs.append((best, best_after))
    changes = _adjusted([_model_change(before, after, *pair, draws=draws) for pair in pairs])
    return RunComparison(
        a=read_entry(a),
        b=read_entry(b),
        data=data_change(before.rows, after.rows, (before.left_out, after.left_out)),
        settings=tuple(settings_changes(before.record, after.record)),
        versions=tuple(version_changes(before.record, after.record)),
        machine=tuple(machine_changes(before.record, after.record)),
        models=tuple(changes[:-1] if other_best else changes),
        best=changes[-1] if other_best else None,
        only_a=tuple(name for name in models if name not in models_after),
        only_b=tuple(name for name in models_after if name not in models),
        effect=effect_of_runs(before, after, draws=draws),
    )


def _model_change(
    before: FinishedRun, after: FinishedRun, a: ModelRow, b: ModelRow, *, draws: int
) -> ModelChange:
    try:
        answers = before.test(a.name), after.test(b.name)
    except RunFolderError as error:
        return ModelChange(a, b, None, str(error))
    contents = tuple({row.path: row.sha256 for row in run.rows} for run in (before, after))
    found = difference(*answers, *contents, draws=draws)
    if found.kind == "unpaired" and set(answers[0].classes) != set(answers[1].classes):
        return ModelChange(a, b, None, OTHER_TASK)
    return ModelChange(a, b, found)


def _adjusted(changes: Sequence[ModelChange]) -> list[ModelChange]:
    """Adjust the p values for how many models are compared."""
    tested = [change.difference for change in changes if change.difference]
    adjusted = iter(holm([found.p for found in tested]))
    return [
        replace(change, difference=with_p(change.difference, next(adjusted)))
        if change.difference
        else change
        for change in changes
    ]
