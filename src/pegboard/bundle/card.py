"""What a model card says, after Mitchell et al. 2019, "Model Cards for Model Reporting".

A card is made from :class:`~pegboard.bundle.info.BundleInfo` alone and says the same as
Markdown and as a page (:mod:`pegboard.bundle.card_files`). Nothing is computed here: figures are
those of the leaderboard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pegboard.bundle.info import SUFFIX, BundleInfo
from pegboard.bundle.training import training_facts
from pegboard.table import duration, size
from pegboard.words import count, left_out_sentence, listing, percent, score

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """A table; all columns but the first hold numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Command:
    """A line to type."""

    text: str


Block = Paragraph | Points | Facts | Grid | Command


@dataclass(frozen=True)
class Section:
    """A part of the card."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class ModelCard:
    """A model card: plain text throughout, to be escaped by what writes it.

    Attributes
    ----------
    title
        The model's name.
    lead
        What it does and how well, in a sentence or two.
    sections
        In the order of reading.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]


def model_card(info: BundleInfo) -> ModelCard:
    """Return the card of a model."""
    sections = (
        Section("Intended use", _intended_use(info)),
        Section("Out of scope", _out_of_scope(info)),
        Section("How good it is", _figures(info)),
        Section("Each class", _classes(info)),
        Section("What it confuses", _confusions(info)),
        Section("How sure it is", _calibration(info)),
        Section("Data", _data(info)),
        Section("Training", (Facts(training_facts(info)),)),
        Section("What it takes to run", _cost(info)),
        Section("Limits and advice", _limits(info)),
        Section("Licence and origin", _origin(info)),
    )
    return ModelCard(info.name, _lead(info), tuple(part for part in sections if part.blocks))


def _lead(info: BundleInfo) -> str:
    does = f"Names one of {len(info.classes)} classes for a photo."
    figures, n = info.figures, _photos(info)
    if not _is_number(figures.get("accuracy")) or not n:
        return does
    return (
        f"{does} It was right on {percent(figures['accuracy'], n)} of "
        f"{count(n, 'test photo')}{_interval(figures, 'accuracy', partial(percent, n=n))}."
    )


# --- use -------------------------------------------------------------------------------------


def _intended_use(info: BundleInfo) -> tuple[Block, ...]:
    spec = info.input
    colour = "grey" if spec.channels == 1 else "RGB"
    name = info.data.get("name")
    like = f"those of {name}, which it learned from" if name else "those it learned from"
    return (
        Points(
            (
                f"Say which of these classes a photo shows: {listing(info.classes)}.",
                f"For photos like {like}: the same kinds of things, cameras, places and "
                "backgrounds.",
                "As a suggestion that a person can correct. Answers called unsure are for a "
                "person to decide.",
            )
        ),
        Paragraph(
            f"A photo is turned upright (EXIF), fitted to {spec.width} by {spec.height} {colour} "
            f"pixels ({spec.fit}, {spec.interpolation}) and normalised inside the model."
        ),
        Command(f"pegboard predict {info.slug}{SUFFIX} photo.jpg"),
    )


def _out_of_scope(info: BundleInfo) -> tuple[Block, ...]:
    anything_else = (
        "Photos of anything else: it always names one of its classes, also for a photo of "
        "something else."
        if info.unknown_above is None
        else "Photos of anything else: it says unknown to many of them, and not to all."
    )
    return (
        Points(
            (
                anything_else,
                "Photos of several things: it gives one answer for the whole photo.",
                "Decisions about people, and any decision where a wrong answer does harm and "
                "nobody looks at it.",
                "Other cameras, places or backgrounds, until it has been measured on them: "
                "pegboard verify BUNDLE --on FOLDER.",
            )
        ),
    )


# --- figures ---------------------------------------------------------------------------------


def _figures(info: BundleInfo) -> tuple[Block, ...]:
    figures, n = info.figures, _photos(info)
    if not n or not _is_number(figures.get("accuracy")):
        return (Paragraph("No figures were stored."),)
    rows = [("Test photos", f"{n:,}")]
    accuracy = percent(figures["accuracy"], n)
    rows.append(("Accuracy", f"{accuracy}{_interval(figures, 'accuracy', partial(percent, n=n))}"))
    rows += [
        (title, f"{score(figures[key], n)}{_interval(figures, key, partial(score, n=n))}")
        for key, title in _SCORES
        if _is_number(figures.get(key))
    ]
    blocks: list[Block] = [Facts((*rows, *_seeds(figures, n)))]
    if figures.get("collapsed"):
        blocks.append(
            Paragraph(f"Do not use this model: it has collapsed ({figures['collapsed_reason']}).")
        )
    return (*blocks, Paragraph(_how_tested(info.data)))


def _how_tested(data: Json) -> str:
    sentences = [
        "Intervals are 95 % bootstrap intervals over groups of duplicate photos. The test photos "
        "were kept away from training and from the choice of the model."
    ]
    if data.get("folds"):
        sentences = [
            "Intervals are 95 % bootstrap intervals over groups of duplicate photos. The figures "
            f"are those of {data['folds']}-fold cross-validation: every photo was answered by a "
            "model that was neither trained nor stopped early on it. Which model is best "
            "was chosen on these same photos, so the best one's figures are a little too good. "
            "This file holds the model of the first fold."
        ]
    if data.get("allow_leaks"):
        sentences.append(
            "The split was allowed to share photos between training and test, so the figures may "
            "be too good."
        )
    return " ".join(sentences)


_SCORES = (
    ("macro_f1", "Macro-F1"),
    ("macro_precision", "Macro precision"),
    ("macro_recall", "Macro recall"),
    ("weighted_f1", "Weighted F1"),
    ("roc_auc", "ROC AUC, one class against the rest"),
    ("average_precision", "Average precision"),
    ("validation_macro_f1", "Macro-F1 on validation"),
)


def _seeds(figures: Json, n: int) -> list[tuple[str, str]]:
    mean, sd = figures.get("mean"), figures.get("sd")
    if not mean or not sd:
        return []
    told = f"{percent(mean['accuracy'], n)}, standard deviation {percent(sd['accuracy'], n)}"
    return [(f"Mean accuracy over {len(figures['seeds'])} seeds", told)]


def _classes(info: BundleInfo) -> tuple[Block, ...]:
    per_class = info.figures.get("per_class")
    if not per_class:
        return ()
    # Of a cross-validation, they are of a split that was not used.
    train = {} if info.data.get("folds") else info.data.get("train") or {}
    header = ("Class", "Test photos", "Precision", "Recall", "F1")
    grid = Grid(
        (header[0], "Training photos", *header[1:]) if train else header,
        tuple(_class_row(row, train, _photos(info)) for row in per_class),
    )
    missing = [row["label"] for row in per_class if not row["support"]]
    if not missing:
        return (grid,)
    them = "it" if len(missing) == 1 else "them"
    return (
        grid,
        Paragraph(f"No test photo shows {listing(missing)}: nothing is known about {them}."),
    )


def _class_row(row: Json, train: Json, n: int) -> tuple[str, ...]:
    learned = (f"{train.get(row['label'], 0):,}",) if train else ()
    scores = (
        f"{score(row[key], n)}{_interval(row, key, partial(score, n=n), words='')}"
        if row["support"]
        else "unknown"
        for key in ("precision", "recall", "f1")
    )
    return (row["label"], *learned, f"{row['support']:,}", *scores)


def _confusions(info: BundleInfo) -> tuple[Block, ...]:
    figures, n = info.figures, _photos(info)
    if "top_confusions" not in figures:
        return ()
    if not figures["top_confusions"]:
        return (
            Paragraph(
                f"It made no mistake on {count(n, 'test photo')}; with more photos it might."
            ),
        )
    supports = {row["label"]: row["support"] for row in figures.get("per_class") or ()}
    return (
        Points(
            tuple(
                f"{row['true']} taken for {row['predicted']}: "
                f"{_of(row['count'], supports.get(row['true']))}"
                for row in figures["top_confusions"]
            )
        ),
    )


def _of(number: int, support: int | None) -> str:
    if not support:
        return count(number, "photo")
    return f"{number:,} of {count(support, 'photo')}"


def _calibration(info: BundleInfo) -> tuple[Block, ...]:
    figures = info.figures
    rows = [("Temperature, fitted on validation photos", f"{info.temperature:.3f}")]
    if _is_number(figures.get("ece")):
        rows.append(("Expected calibration error on test photos", f"{figures['ece']:.3f}"))
    if _is_number(figures.get("loss")):
        rows.append(("Log loss on test photos", f"{figures['loss']:.3f}"))
    return (
        Facts(tuple(rows)),
        Paragraph(
            "The network's outputs are divided by a temperature, which aims at this: of the "
            "answers given with 80 %, about 80 % are right on photos like these. "
            f"{_how_calibrated(figures)}{sure_in_words(info)}"
        ),
        *_unknown(info),
        *_coverage(info.abstention),
    )


def _how_calibrated(figures: Json) -> str:
    if not _is_number(figures.get("ece")):
        return ""
    return (
        "How far off it is on average says the expected calibration error: "
        f"{100 * figures['ece']:.1f} points on the test photos. "
    )


def sure_in_words(info: BundleInfo) -> str:
    """Return from which probability on an answer is called sure, and what that means."""
    if info.sure is None:
        return _why_never_sure(info)
    return f"An answer is called sure from a probability of {info.sure:.3f} on. {_shown(info)}"


def _why_never_sure(info: BundleInfo) -> str:
    share = share_text(info.thresholds.get("precision"))
    confidence = info.thresholds.get("confidence")
    if confidence is None:
        return "No probability was high enough to call an answer sure."
    return (
        f"No answer is called sure: from no probability on do the validation photos show, with "
        f"{share_text(confidence)} confidence, that at least {share} of the answers are right. "
        "More photos may."
    )


def _shown(info: BundleInfo) -> str:
    """Return what is known of sure answers; earlier bundles hold what was found, not shown."""
    share = share_text(info.thresholds.get("precision"))
    confidence = info.thresholds.get("confidence")
    if confidence is None:
        return f"There, {share} of the answers on validation photos were right."
    return (
        f"There, validation photos show that at least {share} of the answers to photos like them "
        f"are right, with {share_text(confidence)} confidence (exact binomial tests in a fixed "
        "order)."
    )


def _unknown(info: BundleInfo) -> tuple[Block, ...]:
    said = unknown_in_words(info)
    return (Paragraph(said),) if said else ()


def unknown_in_words(info: BundleInfo) -> str:
    """Return when a photo is called unknown; empty where the model does not tell it."""
    if info.unknown_above is None:
        return ""
    share = 100 * float(info.unknown.get("share", 0))
    how = (
        "1 less the cosine between its features and the mean of the nearest class, plus the "
        "weighted entropy of the probabilities, plus what its light, colours and edges are beyond "
        f"those of ordinary photos, is above {info.unknown_above:.3f}"
        if "pixels" in info.unknown.get("by", ())
        else "the cosine between its features and the mean of the nearest class is below "
        f"{1 - info.unknown_above:.3f}"
    )
    return (
        "A photo is called unknown, whatever the probability, when it is unlike the training "
        f"photos: when {how}. Of the validation photos, which all show a known class, "
        f"{share:g} % are."
    )


def _coverage(told: Json) -> tuple[Block, ...]:
    """Return how often it answers and errs on test photos, where that was measured."""
    if not told:
        return ()
    n = told["n"]
    rows = tuple(
        (percent(point["coverage"], n), percent(point["risk"], n)) for point in told["curve"]
    )
    return (
        Paragraph(answers_in_words(told)),
        Grid(("Answered, the most certain first", "Wrong among them"), rows),
    )


def answers_in_words(told: Json) -> str:
    """Return how often it answered and erred, of coverage and risk on test photos."""
    n, risk = told["n"], told.get("risk")
    shares = [
        f"{percent(told[key], n)} {key}"
        for key in ("sure", "unsure", "unknown")
        if told.get(key) is not None
    ]
    wrong = "" if risk is None else f" Of the sure answers {percent(risk, n)} were wrong."
    return f"On {count(n, 'test photo')} its answers were: {', '.join(shares)}.{wrong}"


def share_text(precision: float | None) -> str:
    """Return a threshold's precision as people read it: ``95 %`` (also when not stated)."""
    return f"{100 * (0.95 if precision is None else precision):g} %"


# --- where it comes from ---------------------------------------------------------------------


def _data(info: BundleInfo) -> tuple[Block, ...]:
    data = info.data
    rows = [("Name", str(data.get("name") or "")), ("Fingerprint", info.fingerprint)]
    rows[1:1] = _photo_counts(data)
    blocks: list[Block] = [Facts(tuple((name, text) for name, text in rows if text))]
    if "left_out" in data:
        blocks.append(Paragraph(left_out_sentence(data["left_out"])))
    if data.get("counts") and not data.get("allow_leaks"):
        blocks.append(
            Paragraph(
                "Photos that are equal or nearly the same form a group, and no group crosses from "
                f"{'one fold to another' if data.get('folds') else _PARTS}. The fingerprint is a "
                "hash of all paths, labels, splits and contents."
            )
        )
    return tuple(blocks) if rows else ()


_PARTS = "training to validation or test"


def _photo_counts(data: Json) -> list[tuple[str, str]]:
    counts, folds = data.get("counts") or {}, data.get("folds")
    if counts and folds:
        learned = f"{count(folds - 2, 'fold')} to train, 1 to validate, 1 to test"
        return [("Photos", f"{sum(counts.values()):,} in {folds} folds ({learned})")]
    return [
        (f"{'Training' if split == 'train' else split.capitalize()} photos", f"{number:,}")
        for split, number in counts.items()
    ]


def _cost(info: BundleInfo) -> tuple[Block, ...]:
    figures = info.figures
    forms = (
        ("params", "Parameters", "{:,.0f}".format),
        ("latency_ms_p50", "One photo, median", "{:.3g} ms".format),
        ("latency_ms_p95", "One photo, 95th percentile", "{:.3g} ms".format),
        ("images_per_second", "Photos a second, 32 at once", "{:,.0f}".format),
        ("size_bytes", "Size of this file", size),
        ("peak_memory_bytes", "Most memory used", size),
        ("train_seconds", "Training time", duration),
    )
    rows = tuple(
        (title, form(figures[key])) for key, title, form in forms if _is_number(figures.get(key))
    )
    return (Facts(rows), Paragraph("Measured on the machine it was trained on.")) if rows else ()


_WEAK = 0.8
"""A class with a lower F1 is named among the limits."""

_MOST_WEAK = 5


def _limits(info: BundleInfo) -> tuple[Block, ...]:
    tested = [row for row in info.figures.get("per_class") or () if row["support"]]
    weak = sorted((row for row in tested if row["f1"] < _WEAK), key=lambda row: row["f1"])
    points = [
        "The figures hold for photos like those it was tested on. Other cameras, places and "
        "backgrounds can lower them a good deal.",
        "It may have learned what stands beside a thing in the photos (a background, a hand, a "
        "label) in place of the thing.",
        "Nothing was measured about people in the photos. Whoever shows photos of people to it "
        "should know their rights.",
        "The world changes: look at the answers it gets wrong, and train again with them.",
    ]
    if weak:
        told = [f"{row['label']} (F1 {row['f1']:.2f})" for row in weak[:_MOST_WEAK]]
        more = len(weak) - len(told)
        told += [count(more, "other class", "other classes")] if more else []
        points.insert(
            0, f"It is weakest at {listing(told)}: look at their photos and labels first."
        )
    return (Points(tuple(points)),)


def _origin(info: BundleInfo) -> tuple[Block, ...]:
    rows = [
        ("Weights it started from", info.weights.get("source") or "none"),
        ("Licence of these weights", info.weights.get("licence") or "none"),
        *(
            (key.capitalize(), str(value))
            for key, value in info.weights.items()
            if key not in ("source", "licence")
        ),
        ("Trained with", _versions(info.versions) or "not stored"),
        ("Written by", info.created_by),
    ]
    if info.parity is not None:
        rows.append(
            (
                "Exported against trained model",
                info.parity.words(),
            )
        )
    return (Facts(tuple(rows)),)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _photos(info: BundleInfo) -> int:
    n = info.figures.get("n")
    return n if isinstance(n, int) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _interval(
    figures: Json, key: str, form: Callable[[float], str], words: str = "95 % interval "
) -> str:
    """Return `` (95 % interval .88 to .94)``; or nothing."""
    ends: Sequence[float] | None = figures.get(f"{key}_ci")
    if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(map(_is_number, ends)):
        return ""
    low, high = map(form, ends)
    return f" ({words}{low} to {high})"
