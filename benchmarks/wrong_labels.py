"""How well wrong labels are found, and photos that belong to no class.

Wrong labels: people's errors (CIFAR-10N) and labels of tools flipped on purpose. Photos of no
class: 48 of CIFAR-10 among the 4,800 of tools, with labels by chance.

Beside pegboard's score stand cleanlab's self-confidence and normalised margin on out-of-fold
probabilities of a logistic regression on the same features and folds, and cleanlab's own filter.

    PEGBOARD_DATA=… python benchmarks/wrong_labels.py [--quick] [--draws 5] [--out FILE]

Needs cleanlab (extra ``dev``). The first run computes features of 9,800 photos (minutes); they are
kept in the cache. ``--quick`` takes one draw of two rates and leaves the logistic regression out.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cleanlab
import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from pegboard.audit.discriminant import HeldOut, grouped_folds, standardised
from pegboard.audit.judgement import judge
from pegboard.audit.labels import SUSPECT
from pegboard.audit.outliers import FAR, SHRINKAGE, beyond
from pegboard.audit.subject import Subject
from pegboard.intake import take_in
from pegboard.sources import SourceOptions, open_source

DATA = Path(os.environ.get("PEGBOARD_DATA", "../shared/data"))
CONFUSABLE = (("pliers", "wirecutter"), ("wrench", "socket_wrench"),
              ("screwdriver", "soldering_iron"))  # fmt: skip
RATES = (0.05, 0.1, 0.2)
STRENGTHS = (0.0003, 0.001, 0.003, 0.01)
"""Values of C for the logistic regression; the one that foresees the labels best is taken."""

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """Photos whose true labels are known."""

    name: str
    features: NDArray[np.float32]
    groups: IntArray
    labels: IntArray
    truth: IntArray
    with_cleanlab: bool

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which labels are."""
        return self.labels != self.truth


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for case in cases(1 if options.quick else options.draws, quick=options.quick):
        rows.append(measure(case))
        print(json.dumps(rows[-1]), flush=True)
    if (DATA / "cifar10n").exists() and (DATA / "tools15").exists():
        for draw in range(1 if options.quick else options.draws):
            rows.append(measure_outliers(draw))
            print(json.dumps(rows[-1]), flush=True)
    if options.out:
        result = {"cleanlab": cleanlab.__version__, "rows": rows, "over draws": spread(rows)}
        options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def cases(draws: int, *, quick: bool) -> Iterator[Case]:
    """Yield CIFAR-10N and the flipped tools; what is not there is said and left out."""
    if (DATA / "cifar10n").exists():
        yield from cifar(with_cleanlab=not quick)
    else:
        print("skipped: PEGBOARD_DATA has no cifar10n")
    if (DATA / "tools15").exists():
        for draw in range(draws):
            yield from tools(draw, (0.1,) if quick else RATES, with_cleanlab=not quick)
    else:
        print("skipped: PEGBOARD_DATA has no tools15")


def cifar(*, with_cleanlab: bool) -> Iterator[Case]:
    """Yield the same pictures with the labels that people gave them."""
    columns = ("label_true", "label_aggregate", "label_worst")
    read = [opened("cifar10n/labels.csv", column) for column in columns]
    truth = read[0].labels
    assert truth is not None
    for name, one in zip(columns[1:], read[1:], strict=True):
        assert one.labels is not None
        assert one.classes == read[0].classes
        yield Case(f"cifar10n {name.removeprefix('label_')}", read[0].features(), read[0].related(),
                   one.labels, truth, with_cleanlab)  # fmt: skip


def tools(draw: int, rates: tuple[float, ...], *, with_cleanlab: bool) -> Iterator[Case]:
    """Yield the photos of tools with labels flipped: to any class, or within confusable pairs."""
    one = opened("tools15", "label")
    truth, features = one.labels, one.features()
    assert truth is not None
    for rate in rates:
        for kind, labels in (
            ("uniform", flipped(truth, rate, draw)),
            ("pairs", flipped_in_pairs(truth, one.classes, rate, draw)),
        ):
            yield Case(f"tools15 {kind} {rate:.0%} draw {draw}", features, one.related(),
                       labels, truth, with_cleanlab)  # fmt: skip


@functools.cache
def opened(source: str, column: str) -> Subject:
    """Take photos in, with features on first use."""
    found = open_source(str(DATA / source), SourceOptions(label_column=column))
    return Subject(found, take_in(found))


def flipped(truth: IntArray, rate: float, seed: int) -> IntArray:
    """Give a share of all labels another class, every other one as likely."""
    rng = np.random.default_rng(seed)
    classes = int(truth.max()) + 1
    chosen = rng.choice(len(truth), round(rate * len(truth)), replace=False)
    labels = truth.copy()
    labels[chosen] = (labels[chosen] + rng.integers(1, classes, len(chosen))) % classes
    return labels


def flipped_in_pairs(truth: IntArray, classes: tuple[str, ...], rate: float, seed: int) -> IntArray:
    """Exchange a share of the labels of confusable classes for the other class of the pair."""
    rng = np.random.default_rng(seed)
    other = {classes.index(a): classes.index(b) for a, b in CONFUSABLE}
    other |= {b: a for a, b in other.items()}
    eligible = np.flatnonzero(np.isin(truth, list(other)))
    labels = truth.copy()
    for index in rng.choice(eligible, round(rate * len(eligible)), replace=False):
        labels[index] = other[int(truth[index])]
    return labels


def spread(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return mean and standard deviation over draws, by case, finder and figure."""
    cases: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        cases.setdefault(row["case"].partition(" draw")[0], []).append(row)
    return {
        name: {
            finder: {
                figure: mean_and_deviation([row[finder][figure] for row in drawn])
                for figure in drawn[0][finder]
                if figure != "interval"
            }
            for finder in drawn[0]
            if isinstance(drawn[0][finder], dict)
        }
        for name, drawn in cases.items()
    }


def mean_and_deviation(values: list[float]) -> list[float]:
    """Return both; of a single value 0 for the second."""
    return [round(float(np.mean(values)), 4),
            round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else 0.0]  # fmt: skip


def measure(case: Case) -> dict[str, Any]:
    """Return the figures of one case."""
    started = time.perf_counter()
    verdicts = judge(case.features, case.labels, case.groups)
    seconds = time.perf_counter() - started
    wrong = case.wrong
    row: dict[str, Any] = {
        "case": case.name,
        "n": len(wrong),
        "wrong": int(wrong.sum()),
        "pegboard": ranking(wrong, verdicts.wrong)
        | found(wrong, verdicts.wrong >= SUSPECT)
        | {
            "suggestion_right": share(verdicts.other[wrong] == case.truth[wrong]),
            "estimate": round(verdicts.count, 1),
            "interval": [round(verdicts.low, 1), round(verdicts.high, 1)],
            "seconds": round(seconds, 1),
        },
    }
    if case.with_cleanlab:
        started = time.perf_counter()
        odds, strength = out_of_fold(case)
        for method in ("self_confidence", "normalized_margin"):
            scores = 1 - get_label_quality_scores(case.labels, odds, method=method)
            row[f"cleanlab {method}"] = ranking(wrong, scores)
        row["cleanlab filter"] = found(wrong, find_label_issues(case.labels, odds)) | {
            "seconds": round(time.perf_counter() - started, 1),
            "C": strength,
        }
    return row


STRANGERS = 48


def measure_outliers(draw: int) -> dict[str, Any]:
    """Return the figures of outliers, with the classes known and without them."""
    rng = np.random.default_rng(draw)
    ours, others = opened("tools15", "label"), opened("cifar10n/labels.csv", "label_true")
    assert ours.labels is not None
    chosen = rng.choice(len(others), STRANGERS, replace=False)
    features = np.concatenate((ours.features(), others.features()[chosen]))
    labels = np.append(ours.labels, rng.integers(0, len(ours.classes), STRANGERS))
    groups = ours.related()
    groups = np.append(groups, groups.max() + 1 + np.arange(STRANGERS))
    strange = np.arange(len(labels)) >= len(ours)
    row: dict[str, Any] = {"case": f"strangers among tools15 draw {draw}", "n": len(labels)}
    for name, classes in (("with classes", labels), ("without classes", np.zeros_like(labels))):
        points, folds = standardised(features), grouped_folds(classes, groups)
        far = beyond(HeldOut(points, classes, folds).strangeness(SHRINKAGE))
        row[name] = ranking(strange, far) | found(strange, far >= FAR)
    return row


def out_of_fold(case: Case) -> tuple[NDArray[np.float64], float]:
    """Return ``(N, K)`` probabilities of the logistic regression of the best C, and that C."""
    tried = [(odds_of(case, strength), strength) for strength in STRENGTHS]
    return min(tried, key=lambda pair: log_loss(case.labels, pair[0]))


def odds_of(case: Case, strength: float) -> NDArray[np.float64]:
    """Return out-of-fold probabilities on standardised features."""
    folds = grouped_folds(case.labels, case.groups)
    odds = np.zeros((len(folds), int(case.labels.max()) + 1))
    for fold in np.unique(folds):
        train = folds != fold
        mean, std = case.features[train].mean(0), case.features[train].std(0)
        points = (case.features - mean) / np.where(std > 1e-6, std, 1)
        model = LogisticRegression(C=strength, max_iter=200)
        model.fit(points[train], case.labels[train])
        odds[~train] = model.predict_proba(points[~train])
    return odds / odds.sum(axis=1, keepdims=True)


def ranking(wrong: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, float]:
    """Return how well scores put wrong labels first."""
    order = np.argsort(-scores, kind="stable")
    return {
        "average_precision": round(float(average_precision_score(wrong, scores)), 4),
        "auroc": round(float(roc_auc_score(wrong, scores)), 4),
        "precision_at_100": share(wrong[order[:100]]),
        "precision_at_wrong": share(wrong[order[: int(wrong.sum())]]),
    }


def found(wrong: NDArray[np.bool_], flagged: NDArray[np.bool_]) -> dict[str, float]:
    """Return what was found above a threshold."""
    return {
        "suspects": int(flagged.sum()),
        "precision": share(wrong[flagged]),
        "recall": share(flagged[wrong]),
    }


def share(values: NDArray[np.bool_]) -> float:
    """Return the mean, 0 of nothing."""
    return round(float(values.mean()), 4) if values.size else 0.0


if __name__ == "__main__":
    main()
