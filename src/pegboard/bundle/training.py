"""How a model was trained, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pegboard.bundle.info import BundleInfo
from pegboard.words import count

Json = Mapping[str, Any]

_METHODS = {
    "gradient": "by gradient descent over batches of photos",
    "features": "a head, by gradient descent over features that the backbone computed once",
    "logistic": "logistic regression on features that the backbone computed once",
}

_PARTS = {
    "all": "all weights",
    "head": "the head",
    "late": "all weights but those of the early stages",
}


def training_facts(info: BundleInfo) -> tuple[tuple[str, str], ...]:
    """Return names and values that tell how the model was trained."""
    recipe = info.recipe
    rows = {
        "Recipe": str(recipe.get("name") or "not stored"),
        "Method": _METHODS.get(recipe.get("method", ""), ""),
        **_steps(recipe),
        "Epochs trained": _number(info.figures.get("epochs")),
        "Classes of few photos": "weigh more in the loss" if recipe.get("class_weights") else "",
        "Seed": _number(recipe.get("seed")),
    }
    return tuple((name, text) for name, text in rows.items() if text)


def _steps(recipe: Json) -> dict[str, str]:
    """Return what gradient descent was set to; nothing where there was none."""
    if recipe.get("method") == "logistic":
        return {}
    phases = recipe.get("phases") or ()
    return {
        **{
            "Training" if len(phases) == 1 else f"Phase {number}": _phase(phase)
            for number, phase in enumerate(phases, start=1)
        },
        "Start of the head": (
            "logistic regression on the backbone's features" if recipe.get("warm_head") else ""
        ),
        "Batch": count(recipe["batch_size"], "photo") if recipe.get("batch_size") else "",
        "Label smoothing": _number(recipe.get("label_smoothing") or None),
        "Augmentation": ", ".join(_augmentation(recipe.get("augmentation") or {})) or "none",
        "Weights kept": f"of the {recipe['keep']} epoch" if recipe.get("keep") else "",
        "Answers": _answers(recipe.get("answer_views") or ()),
    }


def _answers(views: Sequence[Json]) -> str:
    return f"the mean over the photo and {count(len(views), 'further view')} of it" if views else ""


def _phase(phase: Json) -> str:
    parts = [
        _PARTS.get(phase.get("trains", ""), ""),
        f"at most {count(phase['epochs'], 'epoch')}" if phase.get("epochs") else "",
        str(phase.get("optimizer") or ""),
        f"learning rate {phase['learning_rate']:g}" if phase.get("learning_rate") else "",
        str(phase.get("schedule") or ""),
        f"weight decay {phase['weight_decay']:g}" if phase.get("weight_decay") else "",
    ]
    if phase.get("patience"):
        parts.append(f"stopped after {count(phase['patience'], 'epoch')} without a better one")
    return ", ".join(part for part in parts if part)


def _augmentation(changes: Json) -> Iterator[str]:
    for key, form in (
        ("shift", "shifted by up to {:g} of the side"),
        ("rotate", "turned by up to {:g} degrees"),
        ("shear", "sheared by up to {:g}"),
    ):
        if changes.get(key):
            yield form.format(changes[key])
    low, high = changes.get("scale") or (1, 1)
    if (low, high) != (1, 1):
        yield f"magnified by {low:g} to {high:g}"
    if changes.get("mirror"):
        yield "mirrored"
    for key, form in (
        ("light", "brightness changed by up to {:g}"),
        ("contrast", "contrast by up to {:g}"),
        ("colour", "colour by up to {:g}"),
        ("erase", "a rectangle painted over with probability {:g}"),
    ):
        if changes.get(key):
            yield form.format(changes[key])


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else ""
