"""The model card (Mitchell et al. 2019, "Model Cards for Model Reporting"), as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegboard.bundle.info import SUFFIX, BundleInfo


def model_card(info: BundleInfo) -> str:
    """Return the model card."""
    sections = (_card_head(info), _card_figures(info), _card_use(info), _card_origin(info))
    return "\n".join(line for section in sections for line in section)


def _card_head(info: BundleInfo) -> list[str]:
    spec = info.input
    colour = "grey" if spec.channels == 1 else "RGB"
    return [
        f"# {info.name}",
        "",
        f"Names one of {len(info.classes)} classes for a photo.",
        "",
        *(f"- {name}" for name in info.classes),
        "",
        f"A photo is turned upright (EXIF), fitted to {spec.width} by {spec.height} "
        f"{colour} pixels ({spec.fit}, {spec.interpolation}) and normalised inside the model.",
        "",
    ]


def _card_figures(info: BundleInfo) -> list[str]:
    figures = info.figures
    lines = ["## How good it is", ""]
    for key, title in (("accuracy", "Accuracy"), ("macro_f1", "Macro-F1")):
        if isinstance(figures.get(key), int | float):
            lines.append(f"- {title} on test photos: {figures[key]:.3f}{_interval(figures, key)}")
    if isinstance(figures.get("n"), int):
        lines.append(f"- Test photos: {figures['n']}")
    if len(lines) == 2:
        lines.append("No figures were stored.")
    if info.parity is not None:
        lines += [
            f"- Exported against trained model: largest difference of a probability "
            f"{info.parity.max_difference:.1e}, same class for {info.parity.agreement:.2%} of "
            f"{info.parity.n} photos",
        ]
    return [
        *lines,
        "",
        "These figures hold for photos like those it was tested on. Other cameras, places and "
        "backgrounds can lower them a good deal; `pegboard verify BUNDLE --on FOLDER` measures it.",
        "",
    ]


def _interval(figures: Mapping[str, Any], key: str) -> str:
    interval = figures.get(f"{key}_ci")
    if not isinstance(interval, list | tuple) or len(interval) != 2 or None in interval:
        return ""
    return f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"


def _card_use(info: BundleInfo) -> list[str]:
    sure = info.sure
    said = (
        "No probability was high enough to call an answer sure."
        if sure is None
        else f"An answer is called sure from a probability of {sure:.3f} on: there, "
        f"{_share(info)} of the answers on validation photos were right."
    )
    return [
        "## How to use it",
        "",
        f"    pegboard predict {info.slug}{SUFFIX} photo.jpg",
        "",
        f"Probabilities are calibrated with temperature {info.temperature:.3f}. {said}",
        "It always names one of its classes, also for a photo of something else.",
        "",
    ]


def _share(info: BundleInfo) -> str:
    return share_text(info.thresholds.get("precision"))


def share_text(precision: float | None) -> str:
    """Return a threshold's precision as people read it: ``95 %`` (also when not stated)."""
    return f"{100 * (0.95 if precision is None else precision):g} %"


def _card_origin(info: BundleInfo) -> list[str]:
    weights = ", ".join(f"{key}: {value}" for key, value in info.weights.items())
    versions = ", ".join(f"{key} {value}" for key, value in info.versions.items())
    rows = {
        "Pretrained weights": weights or "none",
        "Data fingerprint": info.fingerprint or "not stored",
        "Trained with": versions or "not stored",
        "Written by": info.created_by,
    }
    return ["## Where it comes from", "", *(f"- {key}: {value}" for key, value in rows.items()), ""]
