"""What changed from one run to another, and whether the difference is real.

On test photos that both runs have, with the same label in both, two models are compared as
two models of one run are (:mod:`pegboard.significance`): McNemar's exact test and a paired
bootstrap over groups. Runs that share too few test photos are compared as two independent
samples, which shows less, and that is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from pegboard.duplicates import connect
from pegboard.errors import RunFolderError
from pegboard.evaluate import Predictions, read_predictions
from pegboard.history.changes import (
    DataChange,
    ValueChange,
    data_change,
    machine_changes,
    settings_changes,
    version_changes,
)
from pegboard.history.entries import RunEntry, read_entry
from pegboard.leaderboard import Leaderboard, ModelRow
from pegboard.manifest import ManifestRow, read_manifest
from pegboard.metrics import (
    DRAWS,
    FloatArray,
    Interval,
    confusion_matrix,
    group_codes,
    macro_f1,
    percentile_interval,
    resampled_accuracy,
    resampled_class_scores,
)
from pegboard.runs import RunFolder, read_json, slug_of
from pegboard.significance import Verdict, holm, mcnemar, verdict_of

LEAST_COMMON = 20
"""Test photos two runs must share to be compared on them: with fewer, McNemar's test can hardly
show anything, while each run's own test photos still may."""

OTHER_TASK = (
    f"the runs have other classes and fewer than {LEAST_COMMON} test photos in common, so the "
    "figures belong to two different tasks"
)


@dataclass(frozen=True)
class Difference:
    """How far two models differ on test photos, and whether that is shown.

    Attributes
    ----------
    kind
        ``paired`` on the test photos of both runs, ``unpaired`` on all photos of each.
    n
        Photos that both answered, with the same label.
    accuracy_a, accuracy_b
        On the photos compared.
    change, ci
        Accuracy of B minus accuracy of A, with its 95 % interval.
    macro_f1_change, macro_f1_ci
        The same for macro-F1; None where the two have other classes.
    p, p_adjusted
        McNemar's p (paired), or that of a normal distribution with the bootstrap's standard
        deviation (unpaired); adjusted by Holm over all models compared.
    verdict
        As in ``leaderboard.json``.
    """

    kind: Literal["paired", "unpaired"]
    n: int
    accuracy_a: float
    accuracy_b: float
    change: float
    ci: Interval
    macro_f1_change: float | None
    macro_f1_ci: Interval | None
    p: float
    p_adjusted: float
    verdict: Verdict


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
        }


@dataclass(frozen=True)
class _Finished:
    """What is read of a finished run."""

    folder: RunFolder
    record: Mapping[str, Any]
    board: Leaderboard
    rows: Sequence[ManifestRow]
    left_out: int

    @classmethod
    def read(cls, folder: RunFolder) -> _Finished:
        board = Leaderboard.from_json(read_json(folder.leaderboard))
        record = read_json(folder.run)
        if not isinstance(record, dict):
            raise RunFolderError(f"{folder.run}: expected settings, found {type(record).__name__}")
        left_out = sum(board.dataset.left_out.values())
        return cls(folder, record, board, read_manifest(folder.manifest), left_out)

    def models(self) -> dict[str, ModelRow]:
        return {row.name: row for row in self.board.models if not row.baseline}

    def test(self, model: str) -> Predictions:
        """Return a model's answers to the test photos, grouped as in the manifest."""
        groups = {row.path: row.group or row.path for row in self.rows}
        file = self.folder.model(slug_of(model)).predictions
        test = read_predictions(file, groups).get("test")
        if test is None:
            raise RunFolderError(f"{file} holds no test photo")
        return test


def compare_runs(a: RunFolder, b: RunFolder, *, draws: int = DRAWS) -> RunComparison:
    """Say what changed from A to B, and of every model whether the difference is real.

    Raises
    ------
    RunFolderError
        When one of them is not a finished run, or a file of it is damaged.
    SourceError
        When a manifest is damaged.
    """
    before, after = _Finished.read(a), _Finished.read(b)
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
    )


def _model_change(
    before: _Finished, after: _Finished, a: ModelRow, b: ModelRow, *, draws: int
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
        replace(change, difference=_with_p(change.difference, next(adjusted)))
        if change.difference
        else change
        for change in changes
    ]


def _with_p(found: Difference, p_adjusted: float) -> Difference:
    low, high = found.ci
    # The change is B minus A, a verdict's interval A minus B.
    return replace(found, p_adjusted=p_adjusted, verdict=verdict_of(p_adjusted, (-high, -low)))


def difference(
    a: Predictions,
    b: Predictions,
    contents_a: Mapping[str, str],
    contents_b: Mapping[str, str],
    *,
    draws: int = DRAWS,
) -> Difference:
    """Compare two models' answers to test photos of two runs.

    Parameters
    ----------
    a, b
        Their answers.
    contents_a, contents_b
        SHA-256 of each path, from the manifests.
    draws
        Of the bootstrap.

    Returns
    -------
    The difference, its p not yet adjusted for other comparisons.
    """
    places_a, places_b = common_photos(a, b, contents_a, contents_b)
    if len(places_a) < LEAST_COMMON:
        return _unpaired(a, b, common=len(places_a), draws=draws)
    return _paired(_take(a, places_a), _take(b, places_b), draws=draws)


def common_photos(
    a: Predictions, b: Predictions, contents_a: Mapping[str, str], contents_b: Mapping[str, str]
) -> tuple[list[int], list[int]]:
    """Return where the photos of equal contents and label stand in ``a`` and in ``b``.

    Copies of one photo are counted as often as both have them.
    """
    places_a, places_b = _places(a, contents_a), _places(b, contents_b)
    common = [key for key in places_a if key in places_b]
    return [places_a[key] for key in common], [places_b[key] for key in common]


def _places(answers: Predictions, contents: Mapping[str, str]) -> dict[tuple[str, str, int], int]:
    places = {}
    seen: Counter[tuple[str, str]] = Counter()
    for place, (path, label) in enumerate(zip(answers.paths, answers.labels, strict=True)):
        key = (contents.get(path, path), answers.classes[label])
        places[(*key, seen[key])] = place
        seen[key] += 1
    return places


def _take(answers: Predictions, places: Sequence[int]) -> Predictions:
    return Predictions(
        [answers.paths[place] for place in places],
        answers.labels[places],
        answers.probabilities[places],
        answers.classes,
        [answers.groups[place] for place in places],
    )


def _paired(a: Predictions, b: Predictions, *, draws: int) -> Difference:
    right = np.stack([b.right, a.right], axis=1).astype(np.float64)
    groups = _joined_groups(a.groups, b.groups)
    number = group_codes(groups)[1]
    accuracies = resampled_accuracy(right, groups, draws=draws)
    change = float((right[:, 0] - right[:, 1]).mean())
    interval = percentile_interval(
        accuracies[:, 0] - accuracies[:, 1], change, number, low=-1, high=1
    )
    f1_change, f1_interval = _macro_f1(a, b, groups, groups, number, seeds=(0, 0), draws=draws)
    return Difference(
        kind="paired",
        n=len(a),
        accuracy_a=float(right[:, 1].mean()),
        accuracy_b=float(right[:, 0].mean()),
        change=change,
        ci=interval,
        macro_f1_change=f1_change,
        macro_f1_ci=f1_interval,
        p=mcnemar(right[:, 1], right[:, 0]),
        p_adjusted=1.0,
        verdict="not_shown",
    )


def _joined_groups(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """Return groups of photos that belong together in either run."""
    edges = []
    for groups in (a, b):
        first: dict[str, int] = {}
        edges += [(first.setdefault(group, place), place) for place, group in enumerate(groups)]
    return [str(code) for code in connect(len(a), edges).tolist()]


def _unpaired(a: Predictions, b: Predictions, *, common: int, draws: int) -> Difference:
    # Other seeds for B than for A: equal ones would pair resamples of different photos.
    resampled_a = resampled_accuracy(_right(a), a.groups, draws=draws, seed=0)[:, 0]
    resampled_b = resampled_accuracy(_right(b), b.groups, draws=draws, seed=1)[:, 0]
    change = float(b.right.mean() - a.right.mean())
    number = min(group_codes(a.groups)[1], group_codes(b.groups)[1])
    interval = percentile_interval(resampled_b - resampled_a, change, number, low=-1, high=1)
    f1_change, f1_interval = _macro_f1(a, b, a.groups, b.groups, number, seeds=(0, 1), draws=draws)
    return Difference(
        kind="unpaired",
        n=common,
        accuracy_a=float(a.right.mean()),
        accuracy_b=float(b.right.mean()),
        change=change,
        ci=interval,
        macro_f1_change=f1_change,
        macro_f1_ci=f1_interval,
        p=_p_of_normal(change, float(np.std(resampled_b - resampled_a))),
        p_adjusted=1.0,
        verdict="not_shown",
    )


def _right(answers: Predictions) -> FloatArray:
    return answers.right[:, None].astype(np.float64)


def _p_of_normal(change: float, sd: float) -> float:
    if sd == 0:
        return 1.0 if change == 0 else 0.0
    return 2 * (1 - NormalDist().cdf(abs(change) / sd))


def _macro_f1(
    a: Predictions,
    b: Predictions,
    groups_a: Sequence[str],
    groups_b: Sequence[str],
    number: int,
    *,
    seeds: tuple[int, int],
    draws: int,
) -> tuple[float | None, Interval | None]:
    """Return the change of macro-F1 with its interval; None with other classes."""
    if list(a.classes) != list(b.classes):
        return None, None
    figures, resampled = [], []
    for answers, groups, seed in ((a, groups_a, seeds[0]), (b, groups_b, seeds[1])):
        labels, predicted, classes = answers.labels, answers.predicted, len(answers.classes)
        matrix = confusion_matrix(labels, predicted, classes)
        scores = resampled_class_scores(labels, predicted, groups, classes, draws=draws, seed=seed)
        figures.append(macro_f1(matrix))
        resampled.append(scores.macro_f1(matrix.sum(axis=1) > 0))
    change = figures[1] - figures[0]
    return change, percentile_interval(
        resampled[1] - resampled[0], change, number, low=-1, high=1, bias_corrected=True
    )
