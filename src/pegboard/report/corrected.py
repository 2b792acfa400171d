"""What corrections of labels changed, and how many labels a check would have looked at."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pegboard.audit.folder import DEFAULT, CheckFolder
from pegboard.errors import PegboardError
from pegboard.report.context import CorrectionsSection, EffectRow
from pegboard.report.numbers import Figures, p_value, percentage, share, signed
from pegboard.report.pieces import Number, PhotoView
from pegboard.report.run import Json, Run
from pegboard.report.store import Pictures
from pegboard.words import about_corrections, count

MOST_SHOWN = 24
"""Changed photos on the page, test photos first."""

_VERDICTS = {
    "a_better": "worse than before",
    "b_better": "better than before",
    "not_shown": "no difference shown",
}


def corrections_section(run: Run, pictures: Pictures) -> CorrectionsSection | None:
    """Return what the corrections of a run changed; None for a run without any."""
    corrections = run.leaderboard.get("corrections")
    if not corrections:
        return None
    effect = corrections["effect"]
    return CorrectionsSection(
        words=tuple(about_corrections(corrections, figures=False)),
        n=effect["n"] if effect else 0,
        run=effect["run"] if effect else "",
        rows=tuple(
            _row(model, number, effect["n"]) for number, model in enumerate(effect["models"])
        )
        if effect
        else (),
        photos=tuple(_view(photo, pictures) for photo in corrections["photos"][:MOST_SHOWN]),
        more=max(0, corrections["relabelled"] + corrections["dropped"] - MOST_SHOWN),
    )


def _row(model: Json, number: int, n: int) -> EffectRow:
    place, found = f"/corrections/effect/models/{number}", model["difference"]
    at = {
        name: Figures(model[name], f"{place}/{name}", n)
        for name in ("before", "before_old_labels", "after")
    }
    low, high = (signed(100 * end, 1) for end in found["ci"])
    change = Number(
        signed(100 * found["change"], 1),
        repr(found["change"]),
        f"{low} to {high}",
        place=f"{place}/difference/change",
    )
    return EffectRow(
        name=model["name"],
        old_labels=at["before_old_labels"].at(
            "accuracy", percentage(model["before_old_labels"]["accuracy"], n)
        ),
        before=at["before"].at("accuracy", percentage(model["before"]["accuracy"], n)),
        after=at["after"].at("accuracy", percentage(model["after"]["accuracy"], n)),
        change=change,
        before_f1=at["before"].at("macro_f1", share(model["before"]["macro_f1"], n)),
        after_f1=at["after"].at("macro_f1", share(model["after"]["macro_f1"], n)),
        f1_change=_f1_change(found),
        p=p_value(found["p_adjusted"]),
        verdict=_VERDICTS[found["verdict"]],
        shown=found["verdict"] != "not_shown",
    )


def _f1_change(found: Json) -> Number:
    value, interval = found["macro_f1_change"], found["macro_f1_ci"]
    if value is None or interval is None:
        return share(None)
    low, high = (signed(end, 3) for end in interval)
    return Number(signed(value, 3), repr(value), f"{low} to {high}")


def _view(photo: Json, pictures: Pictures) -> PhotoView:
    change = f"{photo['before']} → {photo['after'] or 'dropped'}"
    return PhotoView(
        photo["path"], pictures.of(photo["path"]), f"Photo, {change}", (change, photo["split"])
    )


def changed_paths(run: Run) -> list[str]:
    """Return the paths of the changed photos that the page shows."""
    corrections = run.leaderboard.get("corrections") or {}
    return [photo["path"] for photo in corrections.get("photos", ())[:MOST_SHOWN]]


def labels_to_check(run: Run) -> str:
    """Say how many labels a check of the same photos suspects, or how to make one.

    Nothing is said of a run with corrections: its labels have been gone through.
    """
    source, settings = (run.run.get(key) or {} for key in ("source", "settings"))
    location = source.get("location")
    if not isinstance(location, str) or settings.get("corrections"):
        return ""
    for folder in _checks(run):
        with suppress(PegboardError, OSError):
            if folder.is_ours() and folder.read().location == location:
                return _suspects(folder)
    typed = settings.get("source")
    if not isinstance(typed, str) or typed == "memory":
        return ""
    return f"To have every label checked: {shlex.join(['pegboard', 'check', typed])}"


def _suspects(folder: CheckFolder) -> str:
    name = _typed(folder)
    outcome = next((one for one in folder.read().outcomes if one.code == "label-suspect"), None)
    if outcome is None or outcome.state == "not-applicable":
        why = f" ({outcome.why})" if outcome and outcome.why else ""
        return f"The check in {name} did not look at labels{why}."
    if outcome.count == 0:
        return f"The check in {name} found no label that may be wrong."
    command = shlex.join(["pegboard", "review", name])
    return (
        f"The check in {name} found {count(outcome.count, 'label')} that may be wrong: "
        f"go through them with {command}, then compare with --corrections."
    )


def _typed(folder: CheckFolder) -> str:
    """Return a check's folder as it can be typed: its bare name only where it lies here."""
    is_here = folder.path.resolve() == DEFAULT.resolve()
    return str(DEFAULT if is_here else folder.path)


def _checks(run: Run) -> Iterator[CheckFolder]:
    """Yield where a check may lie: beside the run, beside ``pegboard-runs/``, or here."""
    path = run.folder.path.resolve()
    for place in dict.fromkeys((path.parent, path.parent.parent, Path.cwd())):
        yield CheckFolder(place / DEFAULT)
