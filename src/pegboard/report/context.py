"""Everything the report may show, as text and figures that are ready to be placed.

:class:`ReportContext` is the only thing the templates see. Nothing is computed there: what a
page says is decided here, where it can be tested, and from the files of the run folder alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chart:
    """One figure of the page.

    Attributes
    ----------
    svg
        An ``<svg>`` element, safe to place as it is.
    caption
        What it shows, in a sentence.
    file
        Path of the same figure as PNG, relative to the report.
    """

    svg: str
    caption: str
    file: str


@dataclass(frozen=True)
class Number:
    """A figure as shown and as it was computed.

    Attributes
    ----------
    shown
        Rounded, with its unit; a dash where it was not measured.
    exact
        All digits, for machines; empty where it was not measured.
    interval
        The 95 % interval as shown; empty where there is none.
    """

    shown: str
    exact: str = ""
    interval: str = ""


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
        McNemar's p after Holm's correction.
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
class NotTrained:
    """A model that was asked for and not trained, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Cell:
    """One cell of a confusion matrix.

    Attributes
    ----------
    count
        Photos; empty for none.
    percent
        Share of the row; empty for none.
    css
        Names of its shade.
    words
        The cell read out.
    """

    count: str
    percent: str
    css: str
    words: str


@dataclass(frozen=True)
class ConfusionRow:
    """One true class with a cell for each predicted one."""

    label: str
    support: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ConfusionEntry:
    """One kind of mistake: how many photos of ``true`` were taken for ``predicted``."""

    true: str
    predicted: str
    count: int
    percent: str


@dataclass(frozen=True)
class ClassRow:
    """Figures of one class on the test photos.

    ``mistaken_for`` names the class it was most often taken for; empty if none.
    """

    label: str
    support: int
    precision: Number
    recall: Number
    f1: Number
    mistaken_for: str


@dataclass(frozen=True)
class ModelSection:
    """All that is said of one model.

    Attributes
    ----------
    name, anchor
        As in the leaderboard.
    best
        Whether it is the best on the validation photos.
    collapsed_reason
        Why it counts as collapsed; empty otherwise.
    facts
        Name and value of its main figures.
    notes
        What happened in training, in sentences.
    recipe
        How it was trained and what it sees, as indented JSON; empty if unknown.
    curves
        Learning curves; None for a model that does not learn by epochs.
    confusion
        Rows of the matrix; empty with more than 30 classes.
    confusion_chart
        The matrix as a picture.
    confusions
        The most frequent mistakes.
    classes
        Figures per class.
    reliability
        Reliability diagram.
    """

    name: str
    anchor: str
    best: bool
    collapsed_reason: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    recipe: str
    curves: Chart | None
    confusion: tuple[ConfusionRow, ...]
    confusion_chart: Chart
    confusions: tuple[ConfusionEntry, ...]
    classes: tuple[ClassRow, ...]
    reliability: Chart


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
    """

    found: int
    used: int
    left_out: int
    counts: tuple[CountRow, ...]
    totals: CountRow
    balance: Chart | None
    reasons: tuple[ReasonRow, ...]
    warnings: tuple[str, ...]


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
    highlights
        Title, figure and explanation of the few figures that matter most.
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
    comparisons
        Pairs of models, those with the best one first.
    not_trained
        Models asked for and not trained.
    models
        One section a model.
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
    highlights: tuple[tuple[str, str, str], ...]
    n: int
    folds: int
    several_seeds: bool
    rows: tuple[LeaderboardRow, ...]
    scores: Chart | None
    pareto: Chart | None
    comparisons: tuple[ComparisonRow, ...]
    not_trained: tuple[NotTrained, ...]
    models: tuple[ModelSection, ...]
    data: DataSection
    repeat: RepeatSection
