"""Whether going on from a trained model helped: both on the test photos it could know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import Network
from pegboard.evaluate import Predictions, evaluate, occurring_macro_f1
from pegboard.growing import Origin
from pegboard.pipeline.active_run import ActiveRun
from pegboard.pipeline.training import Outcome
from pegboard.significance import compare_models

_AT_ONCE = 64
_BEFORE = "before"


def tell_growth(
    run: ActiveRun, trained: Sequence[Outcome], test: Mapping[str, Predictions]
) -> dict[str, Any] | None:
    """Return the key ``grown`` of ``leaderboard.json``; None for a run that began anew.

    Parameters
    ----------
    trained
        The models that have answered.
    test
        Their answers to the test photos.
    """
    origin = run.prepared.origin
    if origin is None:
        return None
    classes, before = run.prepared.classes, origin.info.classes
    new = {name: 0 for name in classes if name not in before}
    labels = run.prepared.labels[run.prepared.indices("test")]
    for name in new:
        new[name] = int((labels == list(classes).index(name)).sum())
    told: dict[str, Any] = {
        "file": origin.bundle.path.name,
        "model": origin.info.name,
        "seen_known": origin.seen is not None,
        "new_classes": new,
        "gone_classes": [name for name in before if name not in classes],
        "n": 0,
        "models": [],
    }
    grown = [outcome for outcome in trained if outcome.plan.origin]
    if not grown:
        return told
    answered = _old_answers(run, origin)
    if answered is None:
        return told
    told |= {"n": len(answered), "before": _figures(answered)}
    for outcome in grown:
        now = _part(test[outcome.name], answered.paths)
        (difference,) = compare_models({outcome.name: now, _BEFORE: answered})
        told["models"].append(
            {
                "name": outcome.name,
                "after": _figures(now),
                "difference": difference.to_json(),
            }
        )
    return told


def _old_answers(run: ActiveRun, origin: Origin) -> Predictions | None:
    """Return the earlier model's answers to the test photos of classes it knew."""
    prepared = run.prepared
    indices = prepared.indices("test")
    known = {name: number for number, name in enumerate(origin.info.classes)}
    indices = indices[[prepared.split.rows[i].label in known for i in indices]]
    if not len(indices):
        return None
    network = Network(origin.bundle.model, origin.info.input, len(origin.info.classes), run.threads)
    parts = [
        network.probabilities(run.photos.take(indices[at : at + _AT_ONCE], origin.info.input))
        for at in range(0, len(indices), _AT_ONCE)
    ]
    rows = [prepared.split.rows[index] for index in indices]
    # Its own classes first, then those it never names.
    names = [*origin.info.classes, *(name for name in prepared.classes if name not in known)]
    blank = np.zeros((len(indices), len(names) - len(known)))
    labels = np.array([known[row.label] for row in rows])
    return Predictions.of_rows(rows, labels, np.hstack([np.concatenate(parts), blank]), names)


def _part(answers: Predictions, paths: Sequence[str]) -> Predictions:
    """Return the answers to some photos, in their order."""
    place = {path: number for number, path in enumerate(answers.paths)}
    some: NDArray[np.int64] = np.array([place[path] for path in paths])
    return Predictions(
        paths=list(paths),
        labels=answers.labels[some],
        probabilities=answers.probabilities[some],
        classes=answers.classes,
        groups=[answers.groups[number] for number in some],
    )


def _figures(answers: Predictions) -> dict[str, Any]:
    """Return accuracy and macro-F1 over the classes compared, which are not all of the run."""
    found = evaluate(answers)
    macro_f1, interval = occurring_macro_f1(answers)
    return {
        "accuracy": found.accuracy,
        "accuracy_ci": list(found.accuracy_ci),
        "macro_f1": macro_f1,
        "macro_f1_ci": list(interval),
    }
