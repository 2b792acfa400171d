"""Everything the report may show, as text and figures that are ready to be placed.

:class:`ReportContext` is the only thing the templates see. Nothing is computed there: what a
page says is decided here, where it can be tested, and from the files of the run folder alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from pegboard.report.model_context import ModelSection, Sight
from pegboard.report.pieces import Chart, Fact, Number, PhotoStore, PhotoView

__all__ = [
    "Chart",
    "ComparisonRow",
    "CorrectionsSection",
    "CountRow",
    "DataSection",
    "EffectRow",
    "Fact",
    "LeaderboardRow",
    "ModelSection",
    "NotTrained",
    "Number",
    "PhotoGroup",
    "PhotoStore",
    "PhotoView",
    "ReasonRow",
    "RepeatSection",
    "ReportContext",
    "Sight",
    "Tile",
]


@dataclass(frozen=True)
class Tile:
    """One of the few figures that matter most, with what it means."""

    title: str
    number: Number
    why: str


@dataclass(frozen=True)
class LeaderboardRow:
    """One model of the leaderboard.

    Attributes
    ----------
    name
        As typed by the user.
    anchor
        Id of its section on the page; empty when it has none.
    notes
        Short words after the name: best, not shown to be worse, baseline, Pareto front.
    best, baseline, collapsed
        What the row is.
    collapsed_reason
        Why it counts as collapsed; empty otherwise.
    accuracy, macro_f1, validation_macro_f1, loss, ece
        Quality on the test photos, and on the validation photos.
    latency, latency_p95, throughput, size, memory, parameters, train_time, epochs
        Cost.
    seeds_accuracy, seeds_macro_f1
        Mean ± standard deviation over seeds; a dash for a single seed.
    """

    name: str
    anchor: str
    notes: tuple[str, ...]
    best: bool
    baseline: bool
    collapsed: bool
    collapsed_reason: str
    accuracy: Number
    macro_f1: Number
    validation_macro_f1: Number
    loss: Number
    ece: Number
    latency: Number
    latency_p95: Number
    throughput: Number
    size: Number
    memory: Number
    parameters: Number
    train_time: Number
    epochs: Number
    seeds_accuracy: Number
    seeds_macro_f1: Number


@dataclass(frozen=True)
class ComparisonRow:
    """Two models on the same test photos.

    Attributes
    ----------
    a, b
        Names.
    difference
        Accuracy of a minus accuracy of b, in percentage points, with its interval.
    p
        The larger of McNemar's p and that of a sign test over groups, after Holm's correction.
    verdict
        In words.
    shown
        Whether a difference is shown.
    """

    a: str
    b: str
    difference: Number
    p: Number
    verdict: str
    shown: bool


@dataclass(frozen=True)
class EffectRow:
    """One model before and after corrections of labels, on the same test photos.

    Attributes
    ----------
    name
        As typed.
    old_labels
        Accuracy before, by the labels as they were.
    before, after, change
        Accuracy by the corrected labels; the change in points with its interval.
    before_f1, after_f1, f1_change
        The same of macro-F1.
    p, verdict, shown
        As in :class:`ComparisonRow`.
    """

    name: str
    old_labels: Number
    before: Number
    after: Number
    change: Number
    before_f1: Number
    after_f1: Number
    f1_change: Number
    p: Number
    verdict: str
    shown: bool


@dataclass(frozen=True)
class CorrectionsSection:
    """What corrections of labels changed.

    Attributes
    ----------
    words
        Sentences.
    n, run
        Test photos compared, and the run before; 0 and empty without one.
    rows
        One a model.
    photos
        Changed photos, test photos first.
    more
        How many are not shown.
    """

    words: tuple[str, ...]
    n: int
    run: str
    rows: tuple[EffectRow, ...]
    photos: tuple[PhotoView, ...]
    more: int


@dataclass(frozen=True)
class NotTrained:
    """A model that was asked for and not trained, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class CountRow:
    """Photos of one class by split; ``share`` is its part of all photos."""

    label: str
    train: int
    validation: int
    test: int
    total: int
    share: str


@dataclass(frozen=True)
class ReasonRow:
    """What was left out for one reason, with a few of the files.

    ``examples`` are (path, detail); ``more`` is the number of files that are not named.
    """

    reason: str
    count: int
    examples: tuple[tuple[str, str], ...]
    more: int


@dataclass(frozen=True)
class PhotoGroup:
    """Photos that belong together: a class, or copies of one another."""

    title: str
    photos: tuple[PhotoView, ...]


@dataclass(frozen=True)
class DataSection:
    """The photos.

    Attributes
    ----------
    found, used, left_out
        Files met, used, left out.
    counts
        Photos per class and split.
    totals
        Photos per split, in words.
    balance
        The same as a figure.
    reasons
        Why files were left out.
    warnings
        What the user should know.
    samples
        Training photos of every class; empty without pictures.
    sight_of
        The model whose ``sight`` is shown, the best one; empty without models.
    sight
        What that model sees; None without models.
    duplicates
        Some of the groups of photos that had to stay in one split.
    duplicates_note
        How many such groups there are, in words.
    notes
        What of the photos is not shown, and why.
    """

    found: int
    used: int
    left_out: int
    counts: tuple[CountRow, ...]
    totals: CountRow
    balance: Chart | None
    reasons: tuple[ReasonRow, ...]
    warnings: tuple[str, ...]
    samples: tuple[PhotoGroup, ...]
    sight_of: str
    sight: Sight | None
    duplicates: tuple[PhotoGroup, ...]
    duplicates_note: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RepeatSection:
    """How to run it again.

    Attributes
    ----------
    command
        As it was typed.
    opened
        How often and when the test photos were shown to the models; empty if unknown.
    fingerprint
        Of the photos, labels and splits.
    settings, machine, versions
        Name and value.
    """

    command: str
    opened: str
    fingerprint: str
    settings: tuple[tuple[str, str], ...]
    machine: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReportContext:
    """All that a report shows.

    Attributes
    ----------
    name
        Of the data set.
    subtitle
        Its size in words.
    date
        When the run began; empty if unknown.
    version
        Of pegboard.
    summary
        Sentences.
    advice
        What would help most, in sentences.
    highlights
        The few figures that matter most.
    n
        Test photos.
    folds
        Of cross-validation; 0 for one split.
    several_seeds
        Whether the leaderboard shows a column for seeds.
    rows
        The leaderboard, best first.
    scores
        Accuracy of all models with intervals; None without models.
    pareto
        Speed against quality; None when speed was not measured.
    curves
        Learning curves of all models on one scale; None when no model has any.
    comparisons
        Pairs of models, those with the best one first.
    corrections
        What corrections of labels changed; None for a run without any.
    not_trained
        Models asked for and not trained.
    models
        One section a model.
    store
        The pictures, and the models' answers to the test photos.
    data
        The photos.
    repeat
        How to run it again.
    """

    name: str
    subtitle: str
    date: str
    version: str
    summary: tuple[str, ...]
    advice: tuple[str, ...]
    highlights: tuple[Tile, ...]
    n: int
    folds: int
    several_seeds: bool
    rows: tuple[LeaderboardRow, ...]
    scores: Chart | None
    pareto: Chart | None
    curves: Chart | None
    comparisons: tuple[ComparisonRow, ...]
    corrections: CorrectionsSection | None
    not_trained: tuple[NotTrained, ...]
    models: tuple[ModelSection, ...]
    store: PhotoStore
    data: DataSection
    repeat: RepeatSection
