"""How a model is built and was trained, and its card in short."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pegboard.evidence import ModelEvidence
from pegboard.report.model_context import Anatomy, Card, LayerView
from pegboard.report.numbers import MISSING, percentage, share, time_of
from pegboard.report.pieces import Number
from pegboard.report.run import Json, Run
from pegboard.runs import ModelFolder, read_history

TIMES = " \N{MULTIPLICATION SIGN} "

MOST_LAYERS = 200
"""Rows of a layer table."""


def anatomy_of(recipe: Mapping[str, Any], evidence: ModelEvidence | None) -> Anatomy:
    """Return the layers and the recipe of a model, as far as they were kept."""
    layers = evidence.layers if evidence else ()
    return Anatomy(
        recipe=tuple(_flat(recipe.get("recipe") or {})),
        recipe_json=json.dumps(recipe, indent=2, ensure_ascii=False) if recipe else "",
        layers=tuple(
            LayerView(
                name=layer.name,
                kind=layer.kind,
                shape=TIMES.join(str(size) for size in layer.output_shape),
                parameters=f"{layer.parameters:,}",
            )
            for layer in layers[:MOST_LAYERS]
        ),
        parameters=f"{sum(layer.parameters for layer in layers):,}",
    )


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and value of every setting that is in force, nested names joined."""
    for key, value in values.items():
        name = f"{before}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}: ")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, start=1):
                label = f"{name.removesuffix('s')} {number}: " if len(value) > 1 else ""
                yield from _flat(item, label)
        elif value not in (None, False, 0, 0.0, "", []):
            yield name, _plain(value)


def _plain(value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, list):
        return " to ".join(str(item) for item in value)
    return str(value)


def seconds_per_epoch(files: ModelFolder) -> Number:
    """Return the mean time of an epoch; a dash for a model that has none."""
    rows = read_history(files.history) if files.history.exists() else []
    if not rows:
        return Number(MISSING)
    return time_of(sum(row["seconds"] for row in rows) / len(rows))


def card_of(run: Run, model: Json, recipe: Mapping[str, Any], files: ModelFolder) -> Card:
    """Return the model's card in short, and where the whole one lies if it was written."""
    dataset = run.leaderboard["dataset"]
    accuracy = percentage(model.get("accuracy"), model["n"], model.get("accuracy_ci"))
    macro_f1 = share(model.get("macro_f1"), model["n"], model.get("macro_f1_ci"))
    weights = recipe.get("weights") or {}
    origin = (
        f"{weights['source']} ({weights['licence']})" if weights else "trained from random weights"
    )
    folds = dataset.get("folds")
    photos = f"{folds - 2} of {folds} folds" if folds else f"{dataset['counts']['train']:,} photos"
    facts = (
        ("Answers", f"which of {len(dataset['classes'])} classes a photo shows"),
        ("Trained on", f"{photos} of {dataset['name']}"),
        ("Began from", origin),
        (
            "Tested on",
            f"{model['n']:,} photos of the same collection: accuracy {accuracy.shown} "
            f"({accuracy.interval}), macro-F1 {macro_f1.shown} ({macro_f1.interval})",
        ),
        (
            "Not known",
            "how it does on photos taken elsewhere or otherwise, and on things of no such class",
        ),
    )
    whole = files.card_page
    link = whole.relative_to(run.folder.path).as_posix() if whole.exists() else ""
    return Card(facts, link)
