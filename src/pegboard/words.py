"""The leaderboard in words: what the figures allow one to say, and what they do not.

The terminal and the report say the same sentences. Numbers come from ``leaderboard.json``
and are only rounded here. The sentences are plain ASCII, apart from names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from pegboard.errors import ModelError
from pegboard.models.registry import parse_model_name

Json = Mapping[str, Any]

FINE_FROM = 2000
"""From this many photos on, one photo is less than .05 % and two decimals mean something."""

UNEVEN = 3
"""Classes are called uneven when the largest has this many times the photos of the smallest."""

ROUGH = 0.10
"""Half the width of an interval from which on figures are called rough."""

FASTER = 1.5
"""A tied model is worth naming when it answers this many times faster than the best."""

FEW = 0.8
"""A class is short of photos when it has less than this share of the median of all classes."""

_CONFUSIONS = 3

_REASONS = {
    "not-an-image": ("not an image", "not images"),
    "truncated": ("cut short", "cut short"),
    "empty": ("empty", "empty"),
    "unsupported": ("in an unsupported format", "in an unsupported format"),
    "too-large": ("over the pixel limit", "over the pixel limit"),
    "unreadable": ("unreadable", "unreadable"),
    "hidden": ("hidden", "hidden"),
    "no-label": ("without a label", "without a label"),
    "missing-file": ("listed but missing", "listed but missing"),
    "rare-class": ("of a class with too few photos", "of classes with too few photos"),
    "label-conflict": ("under two labels", "under two labels"),
    "bridges-splits": ("joining two splits", "joining two splits"),
    "pegboard-output": ("written by pegboard", "written by pegboard"),
    "excluded": ("excluded or dropped", "excluded or dropped"),
}


def summary(leaderboard: Json) -> list[str]:
    """Return the leaderboard as sentences, the most important first.

    Parameters
    ----------
    leaderboard
        As in ``leaderboard.json``.
    """
    models = {row["name"]: row for row in leaderboard["models"]}
    best = models.get(leaderboard["best"])
    sentences: list[str] = []
    if best is None:
        sentences.append("No model was trained.")
    else:
        folds = leaderboard["dataset"].get("folds") or 0
        sentences += _about_best(best, _rivals(best, models.values()), folds)
        sentences += _against_majority(best, models.values())
        sentences += _confusions(best)
        sentences += _against_others(best, models, leaderboard["comparisons"], folds)
        sentences += _over_seeds(models.values())
        sentences += _collapsed(models.values())
    sentences += about_corrections(leaderboard.get("corrections"))
    sentences += about_growth(leaderboard.get("grown"))
    sentences += _not_trained(leaderboard["not_trained"])
    sentences.append(left_out_sentence(leaderboard["dataset"]["left_out_reasons"]))
    sentences += _classes(next(iter(models.values()), None))
    return sentences


def advice(
    leaderboard: Json, train: Mapping[str, int], sure_mistakes: int, labels: str = ""
) -> list[str]:
    """Return what would help most, said as carefully as the figures allow.

    Parameters
    ----------
    leaderboard
        As in ``leaderboard.json``.
    train
        Number of training photos of every class; with folds, of all photos.
    sure_mistakes
        Test photos that the best model got wrong although it was sure.
    labels
        What a check of the labels found, or how to make one, in a sentence; empty for none.
    """
    best = next((row for row in leaderboard["models"] if row["name"] == leaderboard["best"]), None)
    if best is None:
        return []
    noun = "photo" if leaderboard["dataset"].get("folds") else "training photo"
    said = [*_weakest_class(best, train, noun), *_labels_to_check(best, sure_mistakes)]
    return [*said, labels] if labels else said


def _weakest_class(best: Json, train: Mapping[str, int], noun: str) -> list[str]:
    tested = [row for row in best["per_class"] if row["support"]]
    weakest = min(tested, key=lambda row: row["f1"], default=None)
    if weakest is None or weakest["f1"] == 1 or len(tested) < 2:
        return []
    label, has = weakest["label"], train.get(weakest["label"], 0)
    usual = median(train.get(row["label"], 0) for row in tested)
    ci, n = weakest.get("f1_ci"), best["n"]
    interval = f", 95 % interval {score(ci[0], n)} to {score(ci[1], n)}" if ci else ""
    figures = (
        f"{label} is the class it knows least (F1 {score(weakest['f1'], n)} on "
        f"{count(weakest['support'], 'test photo')}{interval})"
    )
    if has < FEW * usual:
        return [
            f"{figures}, and it has {count(has, noun)} where half of the classes "
            f"have {math.ceil(usual):,} or more: more photos of {label} would probably help most."
        ]
    return [
        f"{figures}, although it is not short of {noun}s ({has:,}): its mistakes "
        "and its labels are worth a look before more photos are taken."
    ]


def _labels_to_check(best: Json, sure_mistakes: int) -> list[str]:
    if not sure_mistakes:
        return []
    were, labels = ("was", "its label") if sure_mistakes == 1 else ("were", "their labels")
    return [
        f"{count(sure_mistakes, 'test photo')} {were} answered wrongly by {best['name']} with a "
        f"probability of 90 % or more: look at {labels} first, because a wrong label looks like "
        "that too."
    ]


def percent(value: float, n: int) -> str:
    """Return ``0.9934`` of 10,000 photos as ``99.34 %``, of 300 as ``99.3 %``."""
    return f"{digits(value, n)} %"


def digits(value: float, n: int) -> str:
    """Return a share times 100, with as many decimals as ``n`` photos can tell apart.

    No share under 1 becomes 100.
    """
    decimals = 2 if n >= FINE_FROM else 1
    rounded = _rounded(100 * value, decimals, whole=100) + 0.0  # no "-0.0"
    return f"{rounded:.{decimals}f}"


def score(value: float, n: int = 0) -> str:
    """Return F1 and the like with as many decimals as ``n`` photos can tell apart.

    None under 1 becomes 1.
    """
    decimals = 4 if n >= FINE_FROM else 3
    return f"{_rounded(value, decimals):.{decimals}f}"


def _rounded(value: float, decimals: int, whole: float = 1) -> float:
    rounded = round(value, decimals)
    less = value < whole * (1 - 1e-9)  # still nearer is noise of adding up
    return whole - 10**-decimals if rounded == whole and less else rounded


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 photo``, ``2 photos``, ``10,000 photos``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listing(items: Sequence[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _points(value: float, n: int) -> str:
    text = digits(abs(value), n)
    return f"{text} {'point' if float(text) == 1 else 'points'}"


def _interval(ci: Sequence[float], n: int) -> str:
    return f"{digits(ci[0], n)} to {digits(ci[1], n)}"


def _rivals(best: Json, rows: Iterable[Json]) -> list[Json]:
    return [row for row in rows if not row["baseline"] and row["name"] != best["name"]]


def _about_best(best: Json, rivals: Sequence[Json], folds: int) -> list[str]:
    n, low_high = best["n"], best["accuracy_ci"]
    f1 = best["macro_f1_ci"]
    sentences = [
        f"The best model is {best['name']}: {_why_best(best, rivals)}.",
        f"It is right on {percent(best['accuracy'], n)} of {count(n, 'test photo')} "
        f"(95 % interval {_interval(low_high, n)} %), with a macro-F1 of "
        f"{score(best['macro_f1'], n)} ({score(f1[0], n)} to {score(f1[1], n)}).",
        *(_CHOSEN_ON_TEST if folds and rivals else ()),
    ]
    if (low_high[1] - low_high[0]) / 2 > ROUGH:
        sentences.append(
            f"With {count(n, 'test photo')} these figures are rough; more photos would make "
            "them firmer."
        )
    return sentences


def equally_good(best: Json, rows: Iterable[Json]) -> list[Json]:
    """Return the other models whose macro-F1 on validation is as high as the best one's."""
    highest = best["validation_macro_f1"]
    return [row for row in _rivals(best, rows) if row["validation_macro_f1"] == highest]


def _why_best(best: Json, rows: Iterable[Json]) -> str:
    equal = equally_good(best, rows)
    if not equal:
        return "of all models it has the highest macro-F1 on the validation photos"
    names = listing([best["name"], *(row["name"] for row in equal)])
    return (
        f"{names} have the same macro-F1 on the validation photos, the highest of all models; "
        f"{tie_break(best, equal)}"
    )


def tie_break(best: Json, equal: Sequence[Json]) -> str:
    """Say by what the best model was chosen among those that are equally good."""
    own, others = best["latency_ms_p50"], [row["latency_ms_p50"] for row in equal]
    if own and all(other is None or other > own for other in others):
        return f"it is the {'faster' if len(equal) == 1 else 'fastest'}"
    return "it is the first of them"


_CHOSEN_ON_TEST = (
    "With folds every photo is a validation photo once and a test photo once: which model is best "
    "was chosen on the same photos, so its figures are a little too good.",
)


def _against_majority(best: Json, rows: Iterable[Json]) -> list[str]:
    baseline = next((row for row in rows if row["baseline"]), None)
    if baseline is None:
        return []
    share = f"is right on {percent(baseline['accuracy'], baseline['n'])}"
    if best["accuracy_ci"][0] > baseline["accuracy"]:
        return [f"Always answering the commonest class {share}."]
    return [
        f"Always answering the commonest class {share}; {best['name']} is not shown to be "
        f"better than that with {count(best['n'], 'photo')}."
    ]


def _confusions(best: Json) -> list[str]:
    mistakes = best["top_confusions"][:_CONFUSIONS]
    if not mistakes:
        most = percent(1 - best["accuracy_ci"][0], best["n"])
        return [
            f"It made no mistake on these photos; with {count(best['n'], 'photo')}, up to "
            f"{most} mistakes remain possible."
        ]
    first, *others = (f"{row['true']} for {row['predicted']} ({{}})" for row in mistakes)
    numbers = [count(mistakes[0]["count"], "photo"), *(f"{x['count']:,}" for x in mistakes[1:])]
    parts = [text.format(number) for text, number in zip((first, *others), numbers, strict=True)]
    return [f"Most often it takes {listing(parts)}."]


def _against_others(
    best: Json, models: Mapping[str, Json], comparisons: Sequence[Json], folds: int
) -> list[str]:
    """Say of every other model whether it is shown to be worse than the best."""
    leads = {
        name: lead
        for name, lead in leads_of(best["name"], comparisons).items()
        if not models[name]["baseline"]
    }
    order = sorted(leads, key=lambda name: -(models[name]["validation_macro_f1"] or 0))
    ties = [name for name in order if is_tie(leads[name], models[name])]
    return [
        *_ties(best, ties, leads),
        *_faster_tie(best, [models[name] for name in ties]),
        *_worse(best, [name for name in order if leads[name].verdict == "worse"], leads),
        *_better(best, [name for name in order if leads[name].verdict == "better"], leads, folds),
    ]


class Lead:
    """How far the best model is ahead of another one in accuracy, and what that shows."""

    def __init__(self, comparison: Json, best: str) -> None:
        sign = 1 if comparison["a"] == best else -1
        low, high = (sign * end for end in comparison["ci"])
        self.difference: float = sign * comparison["difference"]
        self.ci: tuple[float, float] = (min(low, high), max(low, high))
        ahead, behind = ("a_better", "b_better") if sign == 1 else ("b_better", "a_better")
        self.verdict = {ahead: "worse", behind: "better"}.get(comparison["verdict"], "tie")
        """What the other model is shown to be: ``worse``, ``better``, or neither (``tie``)."""


def leads_of(best: str | None, comparisons: Iterable[Json]) -> dict[str, Lead]:
    """Return the lead of the best model over every model it was compared with, by name."""
    return {
        (pair["b"] if pair["a"] == best else pair["a"]): Lead(pair, best)
        for pair in comparisons
        if best is not None and best in (pair["a"], pair["b"])
    }


def is_tie(lead: Lead, row: Json) -> bool:
    """Whether a model may be chosen instead of the best: not shown to differ, nor collapsed."""
    return lead.verdict == "tie" and not row.get("collapsed")


def _ties(best: Json, ties: Sequence[str], leads: Mapping[str, Lead]) -> list[str]:
    if not ties:
        return []
    n, (first, *others) = best["n"], ties
    lead = leads[first]
    word = "better" if lead.difference < 0 else "worse"
    sentences = [
        f"{first} is not shown to be {word} than {best['name']} with {count(n, 'photo')}: "
        f"{_gap(best['name'], first, lead, n)} "
        f"(95 % interval {_interval(lead.ci, n)} for {best['name']} minus {first})."
    ]
    if others:
        sentences.append(
            f"The same holds for {listing(others)}: treat "
            f"{'it as a tie' if len(others) == 1 else 'them as ties'} and choose by speed or size."
        )
    return sentences


def _gap(best: str, other: str, lead: Lead, n: int) -> str:
    if lead.difference == 0:
        return "both are right equally often"
    ahead = best if lead.difference > 0 else other
    return f"{ahead} is ahead by {_points(lead.difference, n)}"


def _faster_tie(best: Json, ties: Sequence[Json]) -> list[str]:
    timed = [row for row in ties if row["latency_ms_p50"]]
    if not timed or not best["latency_ms_p50"]:
        return []
    fastest = min(timed, key=lambda row: row["latency_ms_p50"])
    times = best["latency_ms_p50"] / fastest["latency_ms_p50"]
    if times < FASTER:
        return []
    return [f"{fastest['name']} answers {times:.1f} times as fast as {best['name']}."]


def _worse(best: Json, worse: Sequence[str], leads: Mapping[str, Lead]) -> list[str]:
    if not worse:
        return []
    parts = [f"{name} (by {_points(leads[name].difference, best['n'])})" for name in worse]
    return [f"Shown to be worse than {best['name']}: {listing(parts)}."]


def _better(best: Json, better: Sequence[str], leads: Mapping[str, Lead], folds: int) -> list[str]:
    if not better:
        return []
    parts = [f"{name} (by {_points(leads[name].difference, best['n'])})" for name in better]
    why = (
        "the choice is made by the answers to validation photos all the same"
        if folds
        else "the choice is made on the validation photos all the same, because a model chosen "
        "on the test photos looks better there than it is"
    )
    return [
        f"On the test photos {listing(parts)} {'is' if len(better) == 1 else 'are'} shown to be "
        f"better than {best['name']}; {why}."
    ]


def _over_seeds(rows: Iterable[Json]) -> list[str]:
    repeated = [row for row in rows if row["sd"] is not None and not row["baseline"]]
    if not repeated:
        return []
    numbers = {len(row["seeds"]) for row in repeated}
    parts = [
        f"{row['name']} {percent(row['mean']['accuracy'], row['n'])} "
        f"({_points(row['sd']['accuracy'], row['n'])}"
        f"{'' if len(numbers) == 1 else ', ' + count(len(row['seeds']), 'seed')})"
        for row in repeated
    ]
    seeds = f"{numbers.pop()} seeds" if len(numbers) == 1 else "seeds"
    return [f"Over {seeds}, mean accuracy and its standard deviation: {listing(parts)}."]


def _collapsed(rows: Iterable[Json]) -> list[str]:
    return [
        f"{row['name']} has collapsed ({row['collapsed_reason']}); {_advice(row['name'])}."
        for row in rows
        if row["collapsed"] and not row["baseline"]
    ]


def _advice(model: str) -> str:
    try:
        name = parse_model_name(model)
    except ModelError:  # of another version of pegboard
        return "try a lower --learning-rate"
    if name.mode == "finetune":
        return f"try a lower --learning-rate, or {name.base}:frozen"
    if name.mode in ("net", "scratch"):
        return "try more --epochs, another --learning-rate, or probe, which needs fewer photos"
    return "try another backbone, or look whether the photos show what their labels say"


def about_corrections(corrections: Json | None, *, figures: bool = True) -> list[str]:
    """Say what corrections of labels changed, before and after on the same test photos.

    Parameters
    ----------
    corrections
        As in ``leaderboard.json``; None for a run without.
    figures
        Whether every model's figures are said, too: a table may stand below.
    """
    if corrections is None:
        return []
    if not corrections["effect"]:
        why = corrections["why_not"]
        return [_corrected(corrections), f"What that changes in the figures is not told: {why}."]
    effect = corrections["effect"]
    said = about_effect(effect) if figures else _effect_shown(effect)
    return [_corrected(corrections), *said]


def _corrected(corrections: Json) -> str:
    relabelled, dropped = corrections["relabelled"], corrections["dropped"]
    if not relabelled and not dropped:
        return f"The corrections ({corrections['file']}) changed no label and dropped no photo."
    places = [
        f"{place} {sum(numbers.values()):,}"
        for place, numbers in corrections["changed"].items()
        if sum(numbers.values())
    ]
    return (
        f"The corrections ({corrections['file']}) changed the label of "
        f"{count(relabelled, 'photo')} and dropped {dropped:,} ({', '.join(places)})."
    )


def about_effect(effect: Json) -> list[str]:
    """Say how models do before and after corrections, and whether a difference is shown."""
    n, models = effect["n"], effect["models"]
    parts = [_before_and_after(model, n) for model in models]
    return [
        f"Before and after on the {count(n, 'test photo')} that both runs answered "
        f"({effect['relabelled']:,} of them relabelled), both by the corrected labels: "
        f"{'; '.join(parts)}.",
        "By the labels as they were, before was right on "
        + listing(
            [
                f"{percent(model['before_old_labels']['accuracy'], n)} ({model['name']})"
                for model in models
            ]
        )
        + " of them.",
        *_effect_shown(effect),
    ]


def _effect_shown(effect: Json) -> list[str]:
    """Say of which models a difference is shown, and what else may be behind it."""
    models, sentences = effect["models"], []
    for verdict, word in (("b_better", "better"), ("a_better", "worse")):
        names = [model["name"] for model in models if model["difference"]["verdict"] == verdict]
        if names:
            sentences.append(f"Shown to be {word} after the corrections: {listing(names)}.")
    hidden = [m["name"] for m in models if m["difference"]["verdict"] == "not_shown"]
    if hidden:
        sentences.append(
            f"No difference is shown for {listing(hidden)}: few changed labels seldom show on "
            f"{count(effect['n'], 'test photo')}; that speaks neither for the corrections nor "
            "against them."
        )
    sentences += [
        f"{entry['name']} has no before: {entry['reason']}." for entry in effect["not_compared"]
    ]
    if effect["notes"]:
        sentences.append(
            f"Not only the corrections differ from the run before ({effect['run']}): "
            f"{'; '.join(effect['notes'])}."
        )
    return sentences


def _before_and_after(model: Json, n: int) -> str:
    found = model["difference"]
    low, high = (f"{float(digits(end, n)):+}" for end in found["ci"])
    return (
        f"{model['name']} {percent(model['before']['accuracy'], n)} -> "
        f"{percent(model['after']['accuracy'], n)} ({float(digits(found['change'], n)):+} points, "
        f"95 % interval {low} to {high})"
    )


_GROWN = {
    "a_better": "it is shown to be better now",
    "b_better": "it is shown to have been better before",
    "not_shown": "no difference is shown",
}


def about_growth(grown: Json | None) -> list[str]:
    """Say whether going on from a trained model helped, and what it knows now.

    Parameters
    ----------
    grown
        As in ``leaderboard.json``; None for a run that began anew.
    """
    if grown is None:
        return []
    return [*_grown(grown), *_other_classes(grown), *([] if grown["seen_known"] else _UNSEEN)]


_UNSEEN = [
    "Which photos the earlier model learned from is not known; if some are among the test photos, "
    "its figures, and those of what grew from it, are too good."
]


def _grown(grown: Json) -> list[str]:
    n = grown["n"]
    if not grown["models"]:
        return [
            f"{grown['file']} could not be compared: it knows none of the test photos' classes."
        ]
    before = percent(grown["before"]["accuracy"], n)
    return [
        f"Gone on from {grown['file']}: on the {count(n, 'test photo')} of classes that it knew, "
        f"it was right on {before}, and {model['name']} now is on "
        f"{percent(model['after']['accuracy'], n)} (now minus before: "
        f"{digits(model['difference']['difference'], n)} points, 95 % interval "
        f"{_interval(model['difference']['ci'], n)}): {_GROWN[model['difference']['verdict']]}."
        for model in grown["models"]
    ]


def _other_classes(grown: Json) -> list[str]:
    said = []
    if grown["new_classes"]:
        names = [f"{name} ({count(n, 'test photo')})" for name, n in grown["new_classes"].items()]
        said.append(f"New to it: {listing(names)}.")
    if grown["gone_classes"]:
        said.append(f"No longer known, for want of photos: {listing(grown['gone_classes'])}.")
    return said


def _not_trained(models: Sequence[Json]) -> list[str]:
    if not models:
        return []
    parts = [f"{model['name']} ({model['reason']})" for model in models]
    return [f"Not trained: {listing(parts)}."]


def left_out_sentence(reasons: Mapping[str, int]) -> str:
    """Say how many files were left out, by reason as in ``intake.json``."""
    total = sum(reasons.values())
    if total == 0:
        return "No file was left out."
    largest_first = sorted(reasons.items(), key=lambda item: -item[1])
    parts = [f"{number:,} {_reason(reason, number)}" for reason, number in largest_first if number]
    were = "was" if total == 1 else "were"
    return f"{count(total, 'file')} {were} left out: {listing(parts)}."


def _reason(reason: str, number: int) -> str:
    return _REASONS.get(reason, (reason, reason))[number != 1]


def _classes(row: Json | None) -> list[str]:
    """Warn of classes that the test photos say little or nothing about."""
    if row is None:
        return []
    supports = [(figures["support"], figures["label"]) for figures in row["per_class"]]
    absent = [label for support, label in supports if support == 0]
    sentences = []
    if absent:
        them = "it" if len(absent) == 1 else "them"
        sentences.append(
            f"No test photo shows {listing(absent)}, so nothing is known about {them}."
        )
    seen = sorted(pair for pair in supports if pair[0])
    if seen and seen[-1][0] >= UNEVEN * seen[0][0]:
        (fewest, smallest), (most, largest) = seen[0], seen[-1]
        sentences.append(
            f"The classes are uneven: {count(fewest, 'test photo')} of {smallest}, {most:,} of "
            f"{largest}. Go by macro-F1, which counts every class alike."
        )
    return sentences
